// SPDX-License-Identifier: GPL-2.0-only
/*
 * bare: the least a program can do to put MQTT messages on N sockets, as the
 * yardstick for squall-sim. One thread, a prebuilt packet, no timers, no
 * statistics, no topic or payload of its own per device.
 *
 *   bare ADDR PORT CONNS QOS BATCH[xTURN] SIZE SECONDS [SOURCE]
 *   bare ADDR PORT CONNS hold BATCH SIZE SECONDS [SOURCE]
 *   bare ADDR PORT CONNS paced0|paced1 GROUP SIZE SECONDS [SOURCE]
 *
 * QoS 0: round robin, TURN times in a row one write() of BATCH messages to each
 * connection. squall-sim's turns are of eight, so that what it is compared with
 * touches connections in the same order; TURN 1 shows what memory costs.
 * QoS 1: the same, but a connection gets its next BATCH only after its PUBACKs
 * were read (epoll), so that each message costs a write and its share of a read.
 * hold: connects all, on one epoll, and sends no more.
 * paced: each connection publishes once a second at QoS 0 or 1, GROUP of them fall due
 * together, and receives what it published (QoS 1: acknowledges it).
 * SOURCE is an address to connect from: past some 14,000 connections from one,
 * the kernel's search for a free port is what one would measure.
 * Ends after SECONDS, or when killed; what was sent is for the sink to count.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TOPIC "dt/thing-000001/telemetry"
#define BATCH 64

static struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
static uint8_t packets[BATCH * 65536];
static uint32_t one_len;
static int ep;

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "bare: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Same packet length as squall-sim's: SIZE bytes of payload on a topic of 25 characters. */
static void build(uint32_t batch, int qos, uint32_t size)
{
	uint32_t rem = 2 + strlen(TOPIC) + (qos ? 2 : 0) + size;
	uint8_t *p = packets;

	for (uint32_t i = 0; i < batch; i++) {
		uint32_t v = rem;

		*p++ = 0x30 | qos << 1;
		do {
			*p++ = (v & 127) | (v > 127 ? 128 : 0);
			v >>= 7;
		} while (v);
		*p++ = 0;
		*p++ = strlen(TOPIC);
		p = mempcpy(p, TOPIC, strlen(TOPIC));
		if (qos) {
			*p++ = 0;
			*p++ = i + 1;
		}
		memset(p, 'x', size);
		p += size;
		one_len = (p - packets) / (i + 1);
	}
}

static uint32_t connect_packet(uint8_t *p, int i)
{
	static const uint8_t head[] = {0x10, 0, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 0};
	uint32_t n = sizeof(head), len;

	memcpy(p, head, n);
	len = sprintf((char *)p + n, "thing-%06d", i);
	p[1] = n - 2 + len;
	p[13] = len;
	return n + len;
}

static int open_one(int flags)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (from.sin_addr.s_addr) {
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		if (bind(fd, (void *)&from, sizeof(from)))
			die("bind");
	}
	if (connect(fd, (void *)&to, sizeof(to)) && errno != EINPROGRESS)
		die("connect");
	return fd;
}

/* Waits until every socket has answered with its CONNACK. */
static void connect_all(int *fds, int n)
{
	uint8_t p[64], ack[4];

	for (int i = 0; i < n; i++) {
		fds[i] = open_one(0);
		if (write(fds[i], p, connect_packet(p, i)) < 0)
			die("write CONNECT");
	}
	for (int i = 0; i < n; i++)
		if (read(fds[i], ack, 4) != 4 || ack[3])
			die("CONNACK");
}

static void wait_writable(int fd)
{
	struct epoll_event ev = {.events = EPOLLOUT, .data.fd = fd};
	int e = epoll_create1(EPOLL_CLOEXEC);

	epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
	epoll_wait(e, &ev, 1, 1000);
	close(e);
}

static void put(int fd, uint32_t n)
{
	uint32_t off = 0;

	while (off < n) {
		ssize_t r = send(fd, packets + off, n - off, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r > 0)
			off += r;
		else if (errno == EAGAIN)
			wait_writable(fd);
		else
			die("write");
	}
}

static void qos0(const int *fds, int n, uint32_t batch, int turn, uint64_t end)
{
	uint32_t len = one_len * batch;

	while (now_ns() < end)
		for (int i = 0; i < n; i++)
			for (int t = 0; t < turn; t++)
				put(fds[i], len);
}

static void qos1(const int *fds, int n, uint32_t batch, uint64_t end)
{
	struct epoll_event evs[256];
	uint32_t *owed = calloc(n, sizeof(*owed)), len = one_len * batch;
	uint8_t acks[4 * BATCH];

	ep = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};

		epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev);
		put(fds[i], len);
		owed[i] = 4 * batch;
	}
	while (now_ns() < end) {
		int m = epoll_wait(ep, evs, 256, 1000);

		for (int j = 0; j < m; j++) {
			uint32_t i = evs[j].data.u32;
			ssize_t r = read(fds[i], acks, owed[i]);

			if (r <= 0)
				die("read PUBACK");
			owed[i] -= r;
			if (!owed[i]) {
				put(fds[i], len);
				owed[i] = 4 * batch;
			}
		}
	}
	free(owed);
}

/* What came for FD; PUBACKs for its PUBLISHes, if at QoS 1, leave in one write. */
static void receive(int fd)
{
	uint8_t in[4096], acks[256], *p = in;
	uint32_t owed = 0;
	ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);

	if (n <= 0)
		die("recv");
	while (p < in + n) {
		uint32_t rem = 0, shift = 0;
		const uint8_t *head = p++;

		do
			rem |= (*p & 127u) << shift, shift += 7;
		while (*p++ & 128);
		if (p + rem > in + n || owed > sizeof(acks) - 4) {
			fprintf(stderr, "bare: a packet in pieces\n");
			exit(1);
		}
		if ((*head & 0xf6) == 0x32) {
			memcpy(acks + owed, "\x40\x02", 2);
			memcpy(acks + owed + 2, p + 2 + (p[0] << 8 | p[1]), 2);
			owed += 4;
		}
		p += rem;
	}
	if (owed && send(fd, acks, owed, MSG_NOSIGNAL) != (ssize_t)owed)
		die("send PUBACK");
}

static void subscribe_all(const int *fds, int n, int qos)
{
	uint8_t p[64] = {0x82, 5 + strlen(TOPIC), 0, 1, 0, strlen(TOPIC)}, ack[5];

	for (int i = 0; i < n; i++) {
		sprintf((char *)p + 6, "dt/thing-%06d/telemetry", i);
		p[6 + strlen(TOPIC)] = qos;
		if (write(fds[i], p, 7 + strlen(TOPIC)) < 0 || read(fds[i], ack, 5) != 5 ||
		    ack[4] != qos)
			die("SUBSCRIBE");
	}
}

static void paced(const int *fds, int n, int group, uint64_t end)
{
	struct epoll_event evs[256];
	uint8_t *digits = memmem(packets, one_len, TOPIC, strlen(TOPIC));
	uint64_t t0 = now_ns(), now = t0, sent = 0;
	char name[8];

	digits += strlen("dt/thing-");
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};

		epoll_ctl(ep, EPOLL_CTL_ADD, fds[i], &ev);
	}
	for (; now < end; now = now_ns()) {
		uint64_t due = t0 + sent * 1000000000ull / n;
		struct timespec wait = {.tv_nsec = now < due ? due - now : 0};
		int m;

		if (now >= due)
			for (int g = 0; g < group; g++, sent++) {
				sprintf(name, "%06u", (unsigned int)(sent % n) % 1000000);
				memcpy(digits, name, 6);
				put(fds[sent % n], one_len);
			}
		m = epoll_pwait2(ep, evs, 256, &wait, NULL);
		for (int j = 0; j < m; j++)
			receive(fds[evs[j].data.u32]);
	}
}

/* 256 connects under way at a time; the rest of SECONDS is spent idle. */
static void hold(int *fds, int n, uint64_t end)
{
	struct epoll_event evs[256];
	uint8_t p[64];
	int next = 0, up = 0;

	ep = epoll_create1(EPOLL_CLOEXEC);
	while (now_ns() < end) {
		int m;

		while (next < n && next - up < 256) {
			struct epoll_event ev = {.events = EPOLLOUT, .data.u32 = next};

			fds[next] = open_one(SOCK_NONBLOCK);
			epoll_ctl(ep, EPOLL_CTL_ADD, fds[next++], &ev);
		}
		m = epoll_wait(ep, evs, 256, 1000);
		for (int j = 0; j < m; j++) {
			uint32_t k = evs[j].data.u32;
			struct epoll_event ev = {.events = EPOLLIN, .data.u32 = k};

			if (evs[j].events & EPOLLOUT) {
				if (write(fds[k], p, connect_packet(p, k)) < 0)
					die("write CONNECT");
				epoll_ctl(ep, EPOLL_CTL_MOD, fds[k], &ev);
				continue;
			}
			if (read(fds[k], p, 4) != 4)
				die("CONNACK");
			up++;
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit rl;
	uint64_t end;
	int n, *fds, qos, batch, turn;
	bool is_paced;

	if (argc != 8 && argc != 9) {
		fprintf(stderr, "usage: bare ADDR PORT CONNS QOS|hold|pacedQOS BATCH[xTURN] SIZE "
				"SECONDS [SOURCE]\n");
		return 2;
	}
	inet_pton(AF_INET, argv[1], &to.sin_addr);
	if (argc == 9)
		inet_pton(AF_INET, argv[8], &from.sin_addr);
	to.sin_port = htons(atoi(argv[2]));
	n = atoi(argv[3]);
	is_paced = !strncmp(argv[4], "paced", 5);
	qos = atoi(argv[4] + (is_paced ? 5 : 0));
	batch = atoi(argv[5]);
	turn = strchr(argv[5], 'x') ? atoi(strchr(argv[5], 'x') + 1) : 1;
	if (turn < 1 || batch < 1 || batch > BATCH || atoi(argv[6]) > 65000 || n < 1) {
		fprintf(stderr, "bare: BATCH is 1 to %d, SIZE at most 65000\n", BATCH);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	build(batch, qos, atoi(argv[6]));
	fds = calloc(n, sizeof(*fds));
	end = now_ns() + strtod(argv[7], NULL) * 1e9;
	if (!strcmp(argv[4], "hold")) {
		hold(fds, n, end);
		return 0;
	}
	connect_all(fds, n);
	if (is_paced) {
		subscribe_all(fds, n, qos);
		paced(fds, n, batch, end);
	} else if (qos)
		qos1(fds, n, batch, end);
	else
		qos0(fds, n, batch, turn, end);
	return 0;
}
