// libs: -lssl -lcrypto
// SPDX-License-Identifier: GPL-2.0-only
/*
 * bare_tls: the least a program can do to come back to an MQTT broker with a TLS 1.3 session, as
 * the yardstick for squall-sim: what OpenSSL itself allows. One thread, OpenSSL as it comes, one
 * certificate, no timers, no statistics, glibc's allocator.
 *
 *   bare_tls ADDR PORT CERTS NAME UNDERWAY TIMES
 *
 * CERTS/ca.pem verifies the broker as 127.0.0.1, CERTS/NAME.pem and .key are what it asks for in
 * the first connection of each of UNDERWAY places. Each then resumes: TCP connect, handshake,
 * CONNECT, CONNACK (the new ticket comes before it), close with a reset; and anew, TIMES in all.
 * They come from a hundred addresses, 127.1.0.1 to 127.1.0.100: past 14,000 connections from one,
 * the kernel's search for a free port is what one would measure. Prints {"resumed": N, "cpu_ms":
 * MS, "per_cpu_s": RATE} of these; a handshake among them that was a full one ends it with 1.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct place {
	int fd;
	bool greeted;
	SSL *ssl;
	SSL_SESSION *session;
	uint32_t got; /* of the CONNACK */
};

static struct sockaddr_in to = {.sin_family = AF_INET};
static SSL_CTX *ctx;
static int ep;
static uint32_t nth; /* connection */

static void __attribute__((noreturn)) die(const char *what)
{
	unsigned long e = ERR_peek_error();

	fprintf(stderr, "bare_tls: %s: %s\n", what,
		e ? ERR_reason_error_string(e) : strerror(errno));
	exit(1);
}

static int keep(SSL *ssl, SSL_SESSION *s)
{
	struct place *p = SSL_get_app_data(ssl);

	SSL_SESSION_free(p->session);
	p->session = s;
	return 1;
}

static void context(const char *certs, const char *name)
{
	char path[1024];

	ctx = SSL_CTX_new(TLS_client_method());
	snprintf(path, sizeof(path), "%s/ca.pem", certs);
	if (!ctx || SSL_CTX_load_verify_locations(ctx, path, NULL) != 1)
		die(path);
	snprintf(path, sizeof(path), "%s/%s.pem", certs, name);
	if (SSL_CTX_use_certificate_file(ctx, path, SSL_FILETYPE_PEM) != 1)
		die(path);
	snprintf(path, sizeof(path), "%s/%s.key", certs, name);
	if (SSL_CTX_use_PrivateKey_file(ctx, path, SSL_FILETYPE_PEM) != 1)
		die(path);
	X509_VERIFY_PARAM_set1_ip_asc(SSL_CTX_get0_param(ctx), "127.0.0.1");
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep);
}

static void begin(struct place *p)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = p};
	int on = 1;

	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (p->fd < 0)
		die("socket");
	setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(p->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	from.sin_addr.s_addr = htonl(0x7f010001 + nth++ % 100);
	if (bind(p->fd, (void *)&from, sizeof(from)))
		die("bind");
	if (connect(p->fd, (void *)&to, sizeof(to)) && errno != EINPROGRESS)
		die("connect");
	if (epoll_ctl(ep, EPOLL_CTL_ADD, p->fd, &ev))
		die("epoll_ctl");
	p->ssl = SSL_new(ctx);
	if (!p->ssl || SSL_set_fd(p->ssl, p->fd) != 1)
		die("SSL_new");
	SSL_set_app_data(p->ssl, p);
	if (p->session)
		SSL_set_session(p->ssl, p->session);
	SSL_set_connect_state(p->ssl);
	p->greeted = false;
	p->got = 0;
}

static void end(struct place *p)
{
	struct linger l = {1, 0};

	/* Else OpenSSL takes the session for broken and will not resume it. */
	SSL_set_shutdown(p->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(p->ssl);
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(p->fd);
}

/* Whether the system has more to say, or the call failed. */
static bool later(const struct place *p, int rc)
{
	int e = SSL_get_error(p->ssl, rc);

	return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE;
}

/* True when the CONNACK is there. */
static bool step(struct place *p)
{
	static const uint8_t hello[] = {0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4,
					2,    0,  0, 0, 4,   'b', 'a', 'r', 'e'};
	uint8_t ack[4];
	int rc;

	if (!p->greeted) {
		rc = SSL_connect(p->ssl);
		if (rc != 1) {
			if (!later(p, rc))
				die("handshake");
			return false;
		}
		if (SSL_write(p->ssl, hello, sizeof(hello)) != sizeof(hello))
			die("CONNECT");
		p->greeted = true;
	}
	while ((rc = SSL_read(p->ssl, ack, (int)(sizeof(ack) - p->got))) > 0) {
		p->got += (uint32_t)rc;
		if (p->got == sizeof(ack))
			return true;
	}
	if (!later(p, rc))
		die("CONNACK");
	return false;
}

/* `times` connections over `n` places; returns how many of them were resumed. */
static uint32_t run(struct place *place, uint32_t n, uint32_t times)
{
	struct epoll_event evs[256];
	uint32_t begun = 0, done = 0, resumed = 0;

	while (begun < n && begun < times)
		begin(&place[begun++]);
	while (done < times) {
		int m = epoll_wait(ep, evs, 256, -1);

		for (int i = 0; i < m; i++) {
			struct place *p = evs[i].data.ptr;

			ERR_clear_error();
			if (evs[i].events & (EPOLLERR | EPOLLHUP)) {
				errno = ECONNRESET;
				die("connection");
			}
			if (!step(p))
				continue;
			resumed += (uint32_t)SSL_session_reused(p->ssl);
			end(p);
			done++;
			if (begun < times) {
				begin(p);
				begun++;
			}
		}
	}
	return resumed;
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	uint32_t n, times, resumed;
	struct place *place;
	struct rlimit rl;
	double cpu;

	if (argc != 7 || atoi(argv[5]) < 1 || atoi(argv[6]) < 1) {
		fprintf(stderr, "usage: bare_tls ADDR PORT CERTS NAME UNDERWAY TIMES\n");
		return 2;
	}
	n = (uint32_t)atoi(argv[5]);
	times = (uint32_t)atoi(argv[6]);
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	place = calloc(n, sizeof(*place));
	ep = epoll_create1(EPOLL_CLOEXEC);
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	if (!place || ep < 0 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		die(argv[1]);
	context(argv[3], argv[4]);
	run(place, n, n);
	cpu = cpu_s();
	resumed = run(place, n, times);
	cpu = cpu_s() - cpu;
	printf("{\"resumed\": %u, \"cpu_ms\": %.0f, \"per_cpu_s\": %.0f}\n", resumed, cpu * 1e3,
	       resumed / cpu);
	return resumed == times ? 0 : 1;
}
