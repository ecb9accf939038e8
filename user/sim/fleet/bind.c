// SPDX-License-Identifier: GPL-2.0-only
/* --bind and --ports: text into ranges, and the n-th address of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "sim/fleet/bind.h"

#define MOST (1u << 24) /* addresses of a range that are ever used, as many as devices */

static bool address(const char *text, union sim_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, &ret->in.sin_addr) == 1)
		ret->sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &ret->in6.sin6_addr) == 1)
		ret->sa.sa_family = AF_INET6;
	return ret->sa.sa_family != 0;
}

/* Linux binds a socket to these and connects it from another: the option would do nothing. */
static bool is_no_hosts(const union sim_addr *a)
{
	uint32_t v4 = ntohl(a->in.sin_addr.s_addr);

	if (a->sa.sa_family == AF_INET)
		return !v4 || IN_MULTICAST(v4) || v4 == INADDR_BROADCAST;
	return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr) ||
	       IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr);
}

/* The low half of an address: no range goes beyond it. */
static uint64_t low_of(const union sim_addr *a)
{
	uint64_t v = 0;

	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr);
	for (unsigned i = 8; i < 16; i++)
		v = v << 8 | a->in6.sin6_addr.s6_addr[i];
	return v;
}

static void set_low(union sim_addr *a, uint64_t v)
{
	if (a->sa.sa_family == AF_INET) {
		a->in.sin_addr.s_addr = htonl((uint32_t)v);
		return;
	}
	for (unsigned i = 16; i-- > 8; v >>= 8)
		a->in6.sin6_addr.s6_addr[i] = (uint8_t)v;
}

static int prefix(const char *one, const char *bits, struct sim_range *r, struct sq_error *err)
{
	unsigned width = r->first.sa.sa_family == AF_INET ? 32 : 128, host;
	char *end;
	unsigned long n = strtoul(bits, &end, 10);
	uint64_t mask, count;

	if (!*bits || *end || n > width || (width == 32 ? n < 8 : n < 64))
		return sq_bad(err, "bind '%s': accepted: a prefix of %s bits", one,
			      width == 32 ? "8 to 32" : "64 to 128");
	host = width - (unsigned)n;
	mask = host == 64 ? ~0ull : (1ull << host) - 1;
	if (low_of(&r->first) & mask)
		return sq_bad(err, "bind '%s': the address has bits set behind the prefix", one);
	/* Neither the network's own address nor IPv4's broadcast is a host's (RFC 3021: /31). */
	count = mask > MOST ? MOST : mask + 1;
	if (host > 1) {
		set_low(&r->first, low_of(&r->first) + 1);
		count -= mask <= MOST ? (width == 32 ? 2 : 1) : 0;
	}
	r->n = (uint32_t)count;
	return 0;
}

static int range(char *one, struct sim_range *r, struct sq_error *err)
{
	char *bits = strchr(one, '/'), *dash = strchr(one, '-'), *sep = bits ? bits : dash;
	union sim_addr last;
	bool ok;

	if (sep)
		*sep = 0;
	ok = address(one, &r->first);
	if (ok && !bits && dash)
		ok = address(dash + 1, &last);
	if (sep)
		*sep = bits ? '/' : '-';
	if (!ok)
		return sq_bad(err,
			      "bind '%s': not an IPv4 or IPv6 address, FIRST-LAST or "
			      "PREFIX/BITS of them",
			      one);
	r->n = 1;
	if (bits && prefix(one, bits + 1, r, err))
		return -EINVAL;
	if (is_no_hosts(&r->first) || (!bits && dash && is_no_hosts(&last)))
		return sq_bad(err,
			      "bind '%s': not the address of one host; accepted: addresses of this "
			      "machine, or leave bind out for the system's choice",
			      one);
	if (bits || !dash)
		return 0;
	if (last.sa.sa_family != r->first.sa.sa_family || low_of(&last) < low_of(&r->first) ||
	    low_of(&last) - low_of(&r->first) >= MOST ||
	    (last.sa.sa_family == AF_INET6 &&
	     memcmp(&last.in6.sin6_addr, &r->first.in6.sin6_addr, 8) != 0))
		return sq_bad(
			err,
			"bind '%s': accepted: FIRST-LAST with FIRST below LAST, of one family, "
			"at most %u addresses",
			one, MOST);
	r->n = (uint32_t)(low_of(&last) - low_of(&r->first)) + 1;
	return 0;
}

int sim_bind_parse(struct sim_profile *p, const char *value, struct sq_error *err)
{
	struct sim_range list[SIM_MAX_BINDS];
	unsigned n = 0;
	char one[100];
	int rc;

	memset(list, 0, sizeof(list));
	while (*value) {
		size_t len = strcspn(value, ",");

		if (n == SIM_MAX_BINDS)
			return sq_bad(err,
				      "bind: more than %d addresses, ranges and prefixes: "
				      "write addresses in a row as FIRST-LAST",
				      SIM_MAX_BINDS);
		if (!len || len >= sizeof(one))
			return sq_bad(err, "bind: accepted: addresses, FIRST-LAST and PREFIX/BITS "
					   "with commas between");
		memcpy(one, value, len);
		one[len] = 0;
		rc = range(one, &list[n++], err);
		if (rc)
			return rc;
		value += len;
		if (*value == ',' && !*++value)
			return sq_bad(err, "bind: an address is missing after the last comma");
	}
	memcpy(p->bind, list, sizeof(list));
	p->nbinds = (uint8_t)n;
	return 0;
}

int sim_ports_parse(struct sim_profile *p, const char *value, struct sq_error *err)
{
	unsigned long low, high = 0;
	char *end;

	low = strtoul(value, &end, 10);
	if (!strcmp(value, "0")) {
		p->port_low = p->port_high = 0;
		return 0;
	}
	if (end != value && *end == '-' && end[1] >= '0' && end[1] <= '9')
		high = strtoul(end + 1, &end, 10);
	if (*end || *value < '0' || *value > '9' || low < 1024 || high < low || high > 65535)
		return sq_bad(err,
			      "ports '%.60s': accepted: LOW-HIGH, from 1024 to 65535, or 0 for "
			      "the kernel's choice",
			      value);
	p->port_low = (uint16_t)low;
	p->port_high = (uint16_t)high;
	return 0;
}

uint64_t sim_bind_count(const struct sim_profile *p, int family)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < p->nbinds; i++)
		n += p->bind[i].first.sa.sa_family == family ? p->bind[i].n : 0;
	return n;
}

void sim_bind_at(const struct sim_profile *p, int family, uint64_t i, union sim_addr *ret)
{
	for (unsigned k = 0; k < p->nbinds; k++) {
		if (p->bind[k].first.sa.sa_family != family)
			continue;
		if (i < p->bind[k].n) {
			*ret = p->bind[k].first;
			set_low(ret, low_of(ret) + i);
			return;
		}
		i -= p->bind[k].n;
	}
}

/* 0 or an errno, as a device's own bind() has it. */
static int try_bind(const union sim_addr *a)
{
	socklen_t len = a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
	int fd = socket(a->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), e = 0;

	if (fd < 0 || bind(fd, &a->sa, len))
		e = errno;
	/* A network's broadcast address is bound to like a multicast one; whoever sends there is
	 * asked for SO_BROADCAST. */
	else if (connect(fd, &a->sa, len) && errno == EACCES)
		e = EADDRNOTAVAIL;
	if (fd >= 0)
		close(fd);
	return e;
}

static bool overlap(const struct sim_range *a, const struct sim_range *b)
{
	uint64_t la = low_of(&a->first), lb = low_of(&b->first);

	return a->first.sa.sa_family == b->first.sa.sa_family &&
	       (a->first.sa.sa_family == AF_INET ||
		!memcmp(&a->first.in6.sin6_addr, &b->first.in6.sin6_addr, 8)) &&
	       la < lb + b->n && lb < la + a->n;
}

int sim_bind_check(const struct sim_profile *p, uint32_t n, struct sq_error *err)
{
	static const int families[] = {AF_INET, AF_INET6};
	char text[INET6_ADDRSTRLEN];
	union sim_addr a;

	for (unsigned i = 0; i < p->nbinds && p->port_low; i++)
		for (unsigned k = 0; k < i; k++)
			if (overlap(&p->bind[i], &p->bind[k]))
				return sq_bad(err,
					      "bind: an address is there twice; with ports each "
					      "is one device's");
	for (unsigned f = 0; f < 2; f++) {
		for (uint64_t i = 0; i < n && i < sim_bind_count(p, families[f]); i++) {
			int e;

			sim_bind_at(p, families[f], i, &a);
			e = try_bind(&a);
			if (!e || e == EADDRINUSE) /* no port is free now */
				continue;
			inet_ntop(families[f],
				  f ? (void *)&a.in6.sin6_addr : (void *)&a.in.sin_addr, text,
				  sizeof(text));
			return sq_bad(err,
				      "bind '%s': %s; accepted: addresses of this machine, e.g. "
				      "after ip address add %s dev IF",
				      text, strerror(e), text);
		}
	}
	return 0;
}

void sim_local_ports(unsigned *ret_low, unsigned *ret_high)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (!f || fscanf(f, "%u %u", ret_low, ret_high) != 2 || *ret_high < *ret_low) {
		*ret_low = 32768;
		*ret_high = 60999;
	}
	if (f)
		fclose(f);
}
