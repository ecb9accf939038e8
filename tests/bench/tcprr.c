// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP request-response: one connection, one small message each way at a time.
 *
 *   tcprr serve PORT                        echoes until killed, one client at a time
 *   tcprr run ADDR PORT [COUNT [SIZE]]    prints one JSON object
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE    65536
#define MAX_SAMPLES 1000000

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int open_tcp(const char *addr, const char *port, bool passive)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_family = AF_INET,
				 .ai_flags = passive ? AI_PASSIVE : 0};
	struct addrinfo *ai;
	int fd, on = 1, rc = getaddrinfo(addr, port, &hints, &ai);

	if (rc) {
		fprintf(stderr, "tcprr: %s: %s\n", addr ? addr : port, gai_strerror(rc));
		exit(2);
	}
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if ((passive ? bind : connect)(fd, ai->ai_addr, ai->ai_addrlen) ||
	    (passive && listen(fd, 8))) {
		perror("tcprr");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	freeaddrinfo(ai);
	return fd;
}

static _Noreturn void serve(const char *port)
{
	static char buf[MAX_SIZE];
	int listener = open_tcp(NULL, port, true), on = 1;

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			continue;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		while ((n = read(fd, buf, sizeof(buf))) > 0)
			if (write(fd, buf, (size_t)n) != n)
				break;
		close(fd);
	}
}

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int run(const char *addr, const char *port, size_t count, size_t size)
{
	static char buf[MAX_SIZE];
	uint64_t *took = calloc(count, sizeof(*took)), start, t0;
	size_t n = 0;
	int fd = open_tcp(addr, port, false);

	if (!took)
		return 1;
	start = now_ns();
	for (t0 = start; n < count; n++) {
		size_t got = 0;
		ssize_t k;
		uint64_t t1;

		if (write(fd, buf, size) != (ssize_t)size)
			break;
		while (got < size && (k = read(fd, buf + got, size - got)) > 0)
			got += (size_t)k;
		if (got < size) {
			fprintf(stderr, "tcprr: connection ended: %s\n", strerror(errno));
			return 1;
		}
		t1 = now_ns();
		took[n] = t1 - t0;
		t0 = t1;
	}
	qsort(took, n, sizeof(*took), cmp_u64);
	printf("{\"transactions\":%zu,\"elapsed_ns\":%" PRIu64 ",\"p50_ns\":%" PRIu64
	       ",\"p95_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64 ",\"max_ns\":%" PRIu64 "}\n",
	       n, t0 - start, n ? took[n / 2] : 0, n ? took[n * 95 / 100] : 0,
	       n ? took[n * 99 / 100] : 0, n ? took[n - 1] : 0);
	free(took);
	close(fd);
	return 0;
}

int main(int argc, char **argv)
{
	long count = argc > 4 ? atol(argv[4]) : 1000;
	long size = argc > 5 ? atol(argv[5]) : 64;

	if (argc == 3 && !strcmp(argv[1], "serve"))
		serve(argv[2]);
	if (argc >= 4 && argc <= 6 && !strcmp(argv[1], "run") && count > 0 &&
	    count <= MAX_SAMPLES && size > 0 && size <= MAX_SIZE)
		return run(argv[2], argv[3], (size_t)count, (size_t)size);
	fprintf(stderr, "usage: tcprr serve PORT | tcprr run ADDR PORT [COUNT [SIZE]]\n");
	return 2;
}
