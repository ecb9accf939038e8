// SPDX-License-Identifier: GPL-2.0-only
/*
 * One-way measurements between two ends on one machine, whose clock they
 * share. An agent runs at each end (process 1 of a container, as it is built
 * static) and is told what to do over a unix socket in a directory that both
 * the test and the container see, so that no fault can touch the telling.
 *
 *   netprobe agent SOCKET PORT     receives datagrams on PORT (v4 and v6)
 *   netprobe SOCKET clear          forget what came
 *   netprobe SOCKET send ADDRESS PORT N PPS SIZE      returns when sent
 *   netprobe SOCKET stat           -> "n=20 delay_ms=100.2 kbit=966"
 *   netprobe SOCKET await N MS     stat, once N have come and 300 ms of silence, or after MS
 *   netprobe sleep
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX 100000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t delay[MAX], sorted[MAX];
static uint64_t first, last, bytes;
static int n;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void *receiver(void *arg)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6,
				  .sin6_port = htons((uint16_t)(intptr_t)arg)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0, big = 1 << 22;

	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &big, sizeof(big));
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror("bind");
		exit(1);
	}
	for (;;) {
		char buf[2048];
		uint64_t sent, now;
		ssize_t len = recv(fd, buf, sizeof(buf), 0);

		now = now_ns();
		if (len < 8)
			continue;
		memcpy(&sent, buf, 8);
		pthread_mutex_lock(&lock);
		last = now;
		if (!n)
			first = now;
		else
			bytes += (uint64_t)len;
		if (n < MAX)
			delay[n++] = (int64_t)(now - sent);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void transmit(const char *address, int port, int count, int pps, int size)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int is6 = strchr(address, ':') != NULL,
	    fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0);
	char buf[2048] = {0};
	uint64_t start = now_ns();

	inet_pton(is6 ? AF_INET6 : AF_INET, address,
		  is6 ? (void *)&six.sin6_addr : (void *)&four.sin_addr);
	for (int i = 0; i < count; i++) {
		uint64_t due = start + (uint64_t)i * 1000000000u / (uint64_t)pps, now = now_ns();

		if (due > now) {
			struct timespec ts = {(time_t)((due - now) / 1000000000u),
					      (long)((due - now) % 1000000000u)};

			nanosleep(&ts, NULL);
		}
		now = now_ns();
		memcpy(buf, &now, 8);
		sendto(fd, buf, (size_t)size, 0,
		       is6 ? (struct sockaddr *)&six : (struct sockaddr *)&four,
		       is6 ? sizeof(six) : sizeof(four));
	}
	close(fd);
}

static void stat_line(char *out, size_t size)
{
	int m;

	pthread_mutex_lock(&lock);
	m = n;
	memcpy(sorted, delay, (size_t)m * sizeof(delay[0]));
	qsort(sorted, (size_t)m, sizeof(sorted[0]), compare);
	snprintf(out, size, "n=%d delay_ms=%.2f kbit=%.0f\n", m,
		 m ? (double)sorted[m / 2] / 1e6 : -1,
		 m > 1 && last > first ? (double)bytes * 8e6 / (double)(last - first) : 0);
	pthread_mutex_unlock(&lock);
}

static void await(int want, int ms)
{
	uint64_t end = now_ns() + (uint64_t)ms * 1000000u;

	while (now_ns() < end) {
		int enough;

		pthread_mutex_lock(&lock);
		enough = n >= want && n && now_ns() > last + 300000000u;
		pthread_mutex_unlock(&lock);
		if (enough)
			return;
		usleep(10000);
	}
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg, a, b, c, d;
	char cmd[256] = "", address[64], answer[128] = "ok\n";

	if (read(fd, cmd, sizeof(cmd) - 1) > 0) {
		if (strncmp(cmd, "clear", 5) == 0) {
			pthread_mutex_lock(&lock);
			n = 0;
			bytes = 0;
			pthread_mutex_unlock(&lock);
		} else if (sscanf(cmd, "send %63s %d %d %d %d", address, &a, &b, &c, &d) == 5) {
			transmit(address, a, b, c, d);
		} else if (sscanf(cmd, "await %d %d", &a, &b) == 2) {
			await(a, b);
			stat_line(answer, sizeof(answer));
		} else {
			stat_line(answer, sizeof(answer));
		}
		if (write(fd, answer, strlen(answer)) < 0)
			perror("write");
	}
	close(fd);
	return NULL;
}

static int agent(const char *path, int port)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	pthread_t t;

	pthread_create(&t, NULL, receiver, (void *)(intptr_t)port);
	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(fd, 16) < 0) {
		perror(path);
		return 1;
	}
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c >= 0 && pthread_create(&t, NULL, serve, (void *)(intptr_t)c) == 0)
			pthread_detach(t);
	}
}

static int ask(const char *path, int argc, char **argv)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char buf[256] = "";
	ssize_t len;

	strncpy(sa.sun_path, path, sizeof(sa.sun_path) - 1);
	for (int i = 0; i < argc; i++)
		snprintf(buf + strlen(buf), sizeof(buf) - strlen(buf), "%s ", argv[i]);
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    write(fd, buf, strlen(buf)) < 0) {
		perror(path);
		return 1;
	}
	while ((len = read(fd, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)len, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "agent") == 0)
		return agent(argv[2], atoi(argv[3]));
	if (argc == 4 && strcmp(argv[1], "first") == 0)
		transmit(argv[2], atoi(argv[3]), 200, 1000, 100);
	if (argc >= 2 && (strcmp(argv[1], "sleep") == 0 || strcmp(argv[1], "first") == 0))
		for (;;)
			pause();
	if (argc >= 3)
		return ask(argv[1], argc - 2, argv + 2);
	fprintf(stderr, "usage: netprobe agent SOCKET PORT | SOCKET COMMAND... | first ADDRESS "
			"PORT | sleep\n");
	return 2;
}
