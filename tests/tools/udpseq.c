// SPDX-License-Identifier: GPL-2.0-only
/*
 * Numbered, time-stamped UDP datagrams, to see what a path does to them.
 *
 *   udpseq recv PORT [--bind ADDR] [--idle SECONDS] [--raw FILE] [--rcvbuf BYTES]
 *   udpseq send ADDR PORT --count N [--pps N] [--size BYTES] [--bind ADDR] [--linger MS]
 *               [--burst N] [--flows N] [--priority P]
 *
 * send --burst: so many at once, at the same mean rate; --flows: by turns from so many sockets;
 * --priority: SO_PRIORITY.
 *
 * recv prints "ready" once bound, then one JSON object when a trailer (three
 * are sent, after --linger) says that the sender is done, when nothing came
 * for --idle seconds (default 5, counted from the first datagram; 0 = wait for
 * SIGINT/SIGTERM), or on SIGINT/SIGTERM. A datagram arrives several times
 * (dup), after a later one (reorder), with a wrong check word (corrupt), or
 * not at all (lost). One-way delay is from just before send() to the kernel's
 * receive stamp, both on CLOCK_MONOTONIC: sender and receiver must share a
 * kernel. Quantiles and mean are of first arrivals. csum_errors is the growth
 * of this namespace's Udp/Udp6 InCsumErrors: damaged datagrams that the kernel
 * threw away. loss_runs[i] counts gaps of exactly i+1 datagrams (the last
 * entry: longer ones too). --raw: "seq delay_ns" per arrival, in order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAGIC	 0x53715571u
#define MAX_SIZE 65000
#define MAX_SEQ	 20000000u
#define RUNS	 20

struct datagram {
	uint32_t magic;
	uint32_t check; /* over the rest of the header and the filling */
	uint64_t seq;	/* == count in a trailer */
	uint64_t count; /* how many the sender means to send */
	uint64_t sent_ns;
	uint8_t fill[];
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* FNV-1a: any single flipped bit changes it. */
static uint32_t check_of(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

static uint32_t datagram_check(const struct datagram *d, size_t len)
{
	return check_of(&d->seq, len - offsetof(struct datagram, seq));
}

static int open_socket(const char *addr, const char *port, bool passive, const char *from)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = passive ? AI_PASSIVE : 0};
	struct addrinfo *ai, *src = NULL;
	int fd, rc;

	rc = getaddrinfo(addr, port, &hints, &ai);
	if (rc) {
		fprintf(stderr, "udpseq: %s port %s: %s\n", addr ? addr : "*", port,
			gai_strerror(rc));
		exit(2);
	}
	fd = socket(ai->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && from && getaddrinfo(from, NULL, &hints, &src) == 0)
		rc = bind(fd, src->ai_addr, src->ai_addrlen);
	if (fd < 0 || rc || (passive ? bind : connect)(fd, ai->ai_addr, ai->ai_addrlen)) {
		fprintf(stderr, "udpseq: %s port %s: %s\n", addr ? addr : "*", port,
			strerror(errno));
		exit(1);
	}
	if (src)
		freeaddrinfo(src);
	freeaddrinfo(ai);
	return fd;
}

static int cmp_i64(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* --- send ------------------------------------------------------------------ */

#define MAX_FLOWS 1000

struct how {
	double pps;
	size_t size;
	unsigned int linger_ms, burst, flows;
	int priority; /* -1: not set */
};

static int do_send(const char *addr, const char *port, const char *from, uint64_t count,
		   const struct how *how)
{
	static union {
		struct datagram d;
		uint8_t bytes[MAX_SIZE];
	} u;
	size_t size = how->size;
	uint64_t start, failed = 0, last_ns;
	int err = 0, buf = 8 << 20, fds[MAX_FLOWS];
	/* How late this process itself woke: what the machine does to whoever sleeps on it. */
	int64_t *late = calloc(count + 1, sizeof(*late));
	uint64_t n_late = 0;

	if (!late) {
		fprintf(stderr, "udpseq: out of memory for %" PRIu64 " packets\n", count);
		return 2;
	}

	for (unsigned int i = 0; i < how->flows; i++) {
		fds[i] = open_socket(addr, port, false, from);
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));
		if (how->priority >= 0 && setsockopt(fds[i], SOL_SOCKET, SO_PRIORITY,
						     &how->priority, sizeof(how->priority)))
			perror("udpseq: SO_PRIORITY");
	}
	u.d.magic = MAGIC;
	u.d.count = count;
	for (size_t i = sizeof(u.d); i < size; i++)
		u.bytes[i] = (uint8_t)(i * 131 + 7);
	start = now_ns(CLOCK_MONOTONIC);
	last_ns = start;
	for (uint64_t i = 0; i < count && !stop; i++) {
		if (how->pps > 0 && i % how->burst == 0) {
			uint64_t due = start + (uint64_t)((double)i * 1e9 / how->pps);
			struct timespec ts = {(time_t)(due / 1000000000u),
					      (long)(due % 1000000000u)};

			if (now_ns(CLOCK_MONOTONIC) < due) {
				clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
				late[n_late++] = (int64_t)(now_ns(CLOCK_MONOTONIC) - due);
			}
		}
		u.d.seq = i;
		u.d.sent_ns = now_ns(CLOCK_MONOTONIC);
		u.d.check = datagram_check(&u.d, size);
		if (send(fds[i % how->flows], &u, size, 0) < 0) {
			failed++;
			err = errno;
		}
		last_ns = now_ns(CLOCK_MONOTONIC);
	}
	qsort(late, n_late, sizeof(*late), cmp_i64);
	printf("{\"sent\":%" PRIu64 ",\"failed\":%" PRIu64
	       ",\"error\":\"%s\",\"elapsed_ns\":%" PRIu64
	       ",\"size\":%zu,\"woke_late_p99_ns\":%" PRId64 "}\n",
	       count - failed, failed, failed ? strerror(err) : "", last_ns - start, size,
	       late[n_late * 99 / 100]);
	free(late);
	fflush(stdout);
	usleep(how->linger_ms * 1000);
	u.d.seq = count;
	for (int i = 0; i < 3 && how->linger_ms; i++) {
		u.d.check = datagram_check(&u.d, size);
		if (send(fds[0], &u, size, 0) < 0 && errno != ECONNREFUSED)
			perror("udpseq: trailer");
		usleep(2000);
	}
	for (unsigned int k = 0; k < how->flows; k++)
		close(fds[k]);
	return 0;
}

/* --- recv ------------------------------------------------------------------ */

static uint64_t csum_errors(void)
{
	char line[1024], names[1024] = "";
	uint64_t sum = 0;
	FILE *f = fopen("/proc/self/net/snmp", "re");

	while (f && fgets(line, sizeof(line), f)) {
		char *n, *v, *ns, *vs;

		if (strncmp(line, "Udp:", 4))
			continue;
		if (!names[0]) {
			memcpy(names, line, sizeof(line));
			continue;
		}
		for (n = strtok_r(names, " \n", &ns), v = strtok_r(line, " \n", &vs); n && v;
		     n = strtok_r(NULL, " \n", &ns), v = strtok_r(NULL, " \n", &vs))
			if (!strcmp(n, "InCsumErrors"))
				sum += strtoull(v, NULL, 10);
	}
	if (f)
		fclose(f);
	f = fopen("/proc/self/net/snmp6", "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Udp6InCsumErrors", 16))
			sum += strtoull(line + 16, NULL, 10);
	if (f)
		fclose(f);
	return sum;
}

struct record {
	uint32_t *seen; /* arrivals of each number */
	int64_t *delay; /* of the first arrival of each, unordered */
	size_t unique, room;
	uint64_t count, received, dup, reorder, corrupt, foreign, highest, bytes;
	uint64_t first_ns, last_ns;
	bool any, done;
	FILE *raw;
};

static void take(struct record *r, const struct datagram *d, size_t len, uint64_t at_ns)
{
	if (len < sizeof(*d) || d->magic != MAGIC || d->check != datagram_check(d, len) ||
	    d->seq > d->count || d->count >= MAX_SEQ) {
		r->corrupt++;
		return;
	}
	if (!r->room) {
		r->room = d->count;
		r->count = d->count;
		r->seen = calloc(r->room, sizeof(*r->seen));
		r->delay = calloc(r->room, sizeof(*r->delay));
		if (!r->seen || !r->delay) {
			fprintf(stderr, "udpseq: out of memory for %" PRIu64 " numbers\n",
				d->count);
			exit(1);
		}
	}
	if (d->count != r->count) {
		r->foreign++;
		return;
	}
	if (d->seq == d->count) {
		r->done = true;
		return;
	}
	r->received++;
	r->bytes += len;
	if (!r->any)
		r->first_ns = at_ns;
	r->last_ns = at_ns;
	if (r->seen[d->seq]++)
		r->dup++;
	else
		r->delay[r->unique++] = (int64_t)(at_ns - d->sent_ns);
	if (r->any && d->seq < r->highest && r->seen[d->seq] == 1)
		r->reorder++;
	if (!r->any || d->seq > r->highest)
		r->highest = d->seq;
	r->any = true;
	if (r->raw)
		fprintf(r->raw, "%" PRIu64 " %" PRId64 "\n", d->seq, (int64_t)(at_ns - d->sent_ns));
}

static void report(struct record *r, uint64_t csum)
{
	static const struct {
		const char *name;
		double q;
	} quantiles[] = {{"min", 0},   {"p1", .01},  {"p5", .05},  {"p25", .25}, {"p50", .5},
			 {"p75", .75}, {"p95", .95}, {"p99", .99}, {"max", 1}};
	uint64_t runs[RUNS] = {0}, run = 0;
	double mean = 0, var = 0;

	for (size_t i = 0; i < r->unique; i++)
		mean += (double)r->delay[i] / (double)r->unique;
	for (size_t i = 0; i < r->unique; i++)
		var += ((double)r->delay[i] - mean) * ((double)r->delay[i] - mean) /
		       (double)r->unique;
	qsort(r->delay, r->unique, sizeof(*r->delay), cmp_i64);
	for (uint64_t i = 0; i <= r->count; i++) {
		if (i < r->count && !r->seen[i]) {
			run++;
		} else if (run) {
			runs[run > RUNS ? RUNS - 1 : run - 1]++;
			run = 0;
		}
	}
	printf("{\"count\":%" PRIu64 ",\"received\":%" PRIu64 ",\"unique\":%zu,\"lost\":%" PRIu64
	       ",\"dup\":%" PRIu64 ",\"reorder\":%" PRIu64 ",\"corrupt\":%" PRIu64
	       ",\"foreign\":%" PRIu64 ",\"csum_errors\":%" PRIu64 ",\"bytes\":%" PRIu64
	       ",\"span_ns\":%" PRIu64 ",\"delay_ns\":{\"mean\":%.0f,\"sd\":%.0f",
	       r->count, r->received, r->unique, r->count - r->unique, r->dup, r->reorder,
	       r->corrupt, r->foreign, csum, r->bytes, r->last_ns - r->first_ns, mean, sqrt(var));
	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		size_t at = r->unique ? (size_t)(quantiles[i].q * (double)(r->unique - 1) + .5) : 0;

		printf(",\"%s\":%" PRId64, quantiles[i].name, r->unique ? r->delay[at] : 0);
	}
	printf("},\"loss_runs\":[");
	for (int i = 0; i < RUNS; i++)
		printf("%s%" PRIu64, i ? "," : "", runs[i]);
	printf("]}\n");
}

static int do_recv(const char *addr, const char *port, double idle, const char *raw, int rcvbuf)
{
	struct record r = {0};
	int fd = open_socket(addr, port, true, NULL), on = 1;
	struct timeval poll_every = {0, 100000};
	uint64_t csum0 = csum_errors(), last = 0;
	static uint8_t buf[MAX_SIZE];

	if (raw) {
		r.raw = fopen(raw, "we");
		if (!r.raw) {
			fprintf(stderr, "udpseq: --raw %s: %s\n", raw, strerror(errno));
			return 1;
		}
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcvbuf, sizeof(rcvbuf)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &poll_every, sizeof(poll_every));
	printf("ready\n");
	fflush(stdout);
	while (!stop && !r.done) {
		union {
			char space[CMSG_SPACE(sizeof(struct timespec))];
			struct cmsghdr align;
		} ctl;
		struct iovec iov = {buf, sizeof(buf)};
		struct msghdr msg = {.msg_iov = &iov,
				     .msg_iovlen = 1,
				     .msg_control = &ctl,
				     .msg_controllen = sizeof(ctl)};
		ssize_t n = recvmsg(fd, &msg, 0);
		uint64_t mono = now_ns(CLOCK_MONOTONIC), at = mono;

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				perror("udpseq: recvmsg");
				return 1;
			}
			if (last && idle > 0 && (double)(mono - last) > idle * 1e9)
				break;
			continue;
		}
		for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
			if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
				struct timespec ts;

				memcpy(&ts, CMSG_DATA(c), sizeof(ts));
				/* The stamp is REALTIME; only its age carries over. */
				at = mono -
				     (now_ns(CLOCK_REALTIME) -
				      ((uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec));
			}
		}
		last = mono;
		take(&r, (const struct datagram *)buf, (size_t)n, at);
	}
	report(&r, csum_errors() - csum0);
	if (r.raw && fclose(r.raw)) {
		perror("udpseq: --raw");
		return 1;
	}
	free(r.seen);
	free(r.delay);
	close(fd);
	return 0;
}

static int usage(void)
{
	fprintf(stderr, "usage: udpseq recv PORT [--bind ADDR] [--idle SECONDS] [--raw FILE] "
			"[--rcvbuf BYTES]\n"
			"       udpseq send ADDR PORT --count N [--pps N] [--size BYTES] [--bind "
			"ADDR] [--linger MS]\n"
			"                 [--burst N] [--flows N] [--priority P]\n");
	return 2;
}

static double number(const char *name, const char *text, double low, double high)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end || !(v >= low && v <= high)) {
		fprintf(stderr, "udpseq: --%s \"%s\" is not accepted: %.0f to %.0f\n", name, text,
			low, high);
		exit(2);
	}
	return v;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"bind", 1, NULL, 'b'},	  {"idle", 1, NULL, 'i'},     {"raw", 1, NULL, 'r'},
		{"count", 1, NULL, 'c'},  {"pps", 1, NULL, 'p'},      {"size", 1, NULL, 's'},
		{"linger", 1, NULL, 'l'}, {"rcvbuf", 1, NULL, 'B'},   {"burst", 1, NULL, 'u'},
		{"flows", 1, NULL, 'f'},  {"priority", 1, NULL, 'y'}, {0},
	};
	const char *bind_to = NULL, *raw = NULL;
	double idle = 5, count = 0, rcvbuf = 64 << 20;
	struct how how = {.size = 100, .linger_ms = 500, .burst = 1, .flows = 1, .priority = -1};
	struct sigaction sa = {.sa_handler = on_signal};
	int c;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'b':
			bind_to = optarg;
			break;
		case 'r':
			raw = optarg;
			break;
		case 'i':
			idle = number("idle", optarg, 0, 86400);
			break;
		case 'c':
			count = number("count", optarg, 1, MAX_SEQ - 1);
			break;
		case 'p':
			how.pps = number("pps", optarg, 0, 1e7);
			break;
		case 's':
			how.size = number("size", optarg, sizeof(struct datagram), MAX_SIZE);
			break;
		case 'l':
			how.linger_ms = number("linger", optarg, 0, 60000);
			break;
		case 'B':
			rcvbuf = number("rcvbuf", optarg, 1, 1e9);
			break;
		case 'u':
			how.burst = number("burst", optarg, 1, 1e6);
			break;
		case 'f':
			how.flows = number("flows", optarg, 1, MAX_FLOWS);
			break;
		case 'y':
			how.priority = number("priority", optarg, 0, 15);
			break;
		default:
			return usage();
		}
	}
	argv += optind;
	argc -= optind;
	if (argc == 2 && !strcmp(argv[0], "recv"))
		return do_recv(bind_to, argv[1], idle, raw, (int)rcvbuf);
	if (argc == 3 && !strcmp(argv[0], "send") && count > 0)
		return do_send(argv[1], argv[2], bind_to, (uint64_t)count, &how);
	return usage();
}
