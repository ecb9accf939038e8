// SPDX-License-Identifier: GPL-2.0-only
/* Brokers' names and their addresses; a thread a process looks names up again. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "sim/fleet/resolve.h"

#define HOSTS 256

struct sim_host {
	char host[200];
	uint16_t port;
	unsigned families;
	uint32_t gen, wanted;
	bool tried;
	uint8_t n;
	union sim_addr addr[SIM_MAX_ADDRS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t asked = PTHREAD_COND_INITIALIZER;
static struct sim_host table[HOSTS];
static unsigned nhosts;
static bool running;

unsigned sim_families(const struct sim_profile *p)
{
	unsigned f = p->nbinds ? 0 : 3;

	for (unsigned i = 0; i < p->nbinds; i++)
		f |= p->bind[i].first.sa.sa_family == AF_INET ? 1 : 2;
	return f;
}

/* 0 or getaddrinfo()'s error; *ret_n may be 0 when no address is of the families asked for. */
static int look_up(const char *host, uint16_t port, unsigned families, union sim_addr *addr,
		   uint8_t *ret_n)
{
	/* No IPv6 address on this machine: none of the broker's can be reached. */
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *list, *a;
	bool v4_only = false;
	char text[8];
	uint8_t n = 0;
	int rc;

	snprintf(text, sizeof(text), "%u", port);
	rc = getaddrinfo(host, text, &hints, &list);
	if (rc) {
		/* A namespace with nothing but loopback counts as having neither family. */
		hints.ai_flags = 0;
		rc = getaddrinfo(host, text, &hints, &list);
	}
	if (rc)
		return rc;
	/* localhost is ::1 as well, where few brokers listen. */
	for (a = list; a && !strcmp(host, "localhost"); a = a->ai_next)
		v4_only |= a->ai_family == AF_INET && families & 1;
	for (a = list; a && n < SIM_MAX_ADDRS; a = a->ai_next) {
		unsigned f = a->ai_family == AF_INET ? 1 : a->ai_family == AF_INET6 ? 2 : 0;

		if (!(f & families) || (v4_only && f != 1))
			continue;
		memset(&addr[n], 0, sizeof(addr[n]));
		memcpy(&addr[n++], a->ai_addr, a->ai_addrlen);
	}
	freeaddrinfo(list);
	*ret_n = n;
	return 0;
}

int sim_resolve(struct sim_profile *p, struct sq_error *err)
{
	uint8_t n;
	int rc = look_up(p->host, p->port, sim_families(p), p->addr, &n);

	if (rc)
		return sq_bad(err, "broker '%.200s': the name does not resolve: %s", p->host,
			      rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
	if (!n)
		return sq_bad(err,
			      "bind: none of the addresses is of the same family as broker "
			      "'%.200s'",
			      p->host);
	p->naddrs = n;
	return 0;
}

bool sim_host_literal(const char *host)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1;
}

static bool changed(const struct sim_host *h, const union sim_addr *addr, uint8_t n)
{
	return n != h->n || memcmp(h->addr, addr, n * sizeof(*addr)) != 0;
}

static void *resolver(void *arg)
{
	union sim_addr addr[SIM_MAX_ADDRS];
	unsigned next = 0;

	(void)arg;
	pthread_mutex_lock(&lock);
	for (;;) {
		struct sim_host *h = NULL;
		uint8_t n = 0;
		int rc;

		for (unsigned i = 0; i < nhosts && !h; i++)
			if (table[(next + i) % nhosts].wanted)
				h = &table[next = (next + i) % nhosts];
		if (!h) {
			pthread_cond_wait(&asked, &lock);
			continue;
		}
		next++;
		__atomic_store_n(&h->wanted, 0, __ATOMIC_RELAXED);
		/* The name, port and families of an entry never change. */
		pthread_mutex_unlock(&lock);
		rc = look_up(h->host, h->port, h->families, addr, &n);
		pthread_mutex_lock(&lock);
		h->tried = true;
		/* What a name server that is down says is no reason to forget the last answer. */
		if (!rc && n && changed(h, addr, n)) {
			memcpy(h->addr, addr, n * sizeof(*addr));
			h->n = n;
			__atomic_store_n(&h->gen, h->gen + 1, __ATOMIC_RELEASE);
		}
		pthread_mutex_unlock(&lock);
		usleep(1000000);
		pthread_mutex_lock(&lock);
	}
	return NULL;
}

struct sim_host *sim_host_get(const char *host, uint16_t port, unsigned families)
{
	struct sim_host *h = NULL;

	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < nhosts && !h; i++)
		if (table[i].port == port && table[i].families == families &&
		    !strcmp(table[i].host, host))
			h = &table[i];
	if (!h && nhosts < HOSTS && strlen(host) < sizeof(h->host)) {
		h = &table[nhosts];
		snprintf(h->host, sizeof(h->host), "%s", host);
		h->port = port;
		h->families = families;
		if (sim_host_literal(host)) {
			h->tried = true;
			if (!look_up(host, port, families, h->addr, &h->n))
				h->gen = 1;
		}
		nhosts++;
	}
	pthread_mutex_unlock(&lock);
	return h;
}

const char *sim_host_name(const struct sim_host *h)
{
	return h->host;
}

uint16_t sim_host_port(const struct sim_host *h)
{
	return h->port;
}

void sim_host_want(struct sim_host *h)
{
	pthread_t t;

	/* A whole fleet that lost its broker asks at once. */
	if (__atomic_load_n(&h->wanted, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&lock);
	__atomic_store_n(&h->wanted, !sim_host_literal(h->host), __ATOMIC_RELAXED);
	/*
	 * Made when a device first asks, which is in the process that runs it. Nobody waits
	 * for its end: a look-up may take longer than the rest of the run.
	 */
	if (!running && h->wanted && !pthread_create(&t, NULL, resolver, NULL)) {
		pthread_detach(t);
		running = true;
	}
	pthread_cond_signal(&asked);
	pthread_mutex_unlock(&lock);
}

bool sim_host_news(struct sim_host *h, uint32_t *gen, union sim_addr *addr, uint8_t *ret_n)
{
	if (__atomic_load_n(&h->gen, __ATOMIC_ACQUIRE) == *gen)
		return false;
	pthread_mutex_lock(&lock);
	*gen = h->gen;
	memcpy(addr, h->addr, h->n * sizeof(*addr));
	*ret_n = h->n;
	pthread_mutex_unlock(&lock);
	return true;
}

int sim_host_pick(struct sim_host *h, unsigned nth, union sim_addr *ret)
{
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (h->n)
		*ret = h->addr[nth % h->n];
	else
		rc = h->tried ? -ENOENT : -EAGAIN;
	pthread_mutex_unlock(&lock);
	return rc;
}
