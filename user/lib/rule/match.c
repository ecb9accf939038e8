// SPDX-License-Identifier: GPL-2.0-only
/* Filters: which packets a clause or an exception means. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "lib/hostname.h"
#include "lib/rule/parts.h"

/* Those written by name, of two names by the later. Others are shown as numbers, so that what is
 * shown can be read back where /etc/protocols is another, or is missing. (There, ipip is 94, which
 * nobody sends.) */
static const struct {
	const char *name;
	uint8_t proto;
	bool ports; /* in the first four bytes of its header */
} protocols[] = {{"tcp", IPPROTO_TCP, true},	       {"udp", IPPROTO_UDP, true},
		 {"icmp", IPPROTO_ICMP, false},	       {"sctp", IPPROTO_SCTP, true},
		 {"dccp", IPPROTO_DCCP, true},	       {"udplite", IPPROTO_UDPLITE, true},
		 {"igmp", IPPROTO_IGMP, false},	       {"gre", IPPROTO_GRE, false},
		 {"esp", IPPROTO_ESP, false},	       {"ah", IPPROTO_AH, false},
		 {"ipv6-icmp", IPPROTO_ICMPV6, false}, {"icmpv6", IPPROTO_ICMPV6, false},
		 {"ipip", IPPROTO_IPIP, false}};
#define PROTOCOLS (sizeof(protocols) / sizeof(*protocols))

static int parse_uint(const char *text, unsigned long max, unsigned long *ret);

int match_set_proto(struct sq_match *m, const char *value, const char *field, struct sq_error *err)
{
	struct protoent entry, *found = NULL;
	unsigned long number;
	char buf[1024];

	if (!strcmp(value, "any")) {
		m->proto = 0;
		return 0;
	}
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (!strcmp(value, protocols[i].name)) {
			m->proto = protocols[i].proto;
			return 0;
		}
	if (parse_uint(value, 255, &number)) {
		getprotobyname_r(value, &entry, buf, sizeof(buf), &found);
		number = found ? (unsigned long)found->p_proto : 0;
	}
	if (!number || number > 255)
		return sq_error_value(err, -EINVAL, field, value, match_proto_accepts);
	m->proto = (uint8_t)number;
	return 0;
}

char *match_format_proto(const struct sq_match *m, char *buf, size_t size)
{
	buf[0] = 0;
	if (!m->proto)
		return buf;
	snprintf(buf, size, "%u", m->proto);
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (protocols[i].proto == m->proto)
			snprintf(buf, size, "%s", protocols[i].name);
	return buf;
}

static bool has_ports(uint8_t proto)
{
	for (size_t i = 0; i < PROTOCOLS; i++)
		if (protocols[i].proto == proto)
			return protocols[i].ports;
	return !proto;
}

static unsigned addr_bits(const struct sq_match *m)
{
	return m->family == 6 ? 128 : 32;
}

static void prefix_mask(uint8_t mask[16], unsigned prefix_len)
{
	unsigned i;

	for (i = 0; i < 16; i++) {
		unsigned bits = prefix_len > 8 * i ? prefix_len - 8 * i : 0;

		mask[i] = bits >= 8 ? 0xff : (uint8_t)(0xff00 >> bits);
	}
}

static int parse_uint(const char *text, unsigned long max, unsigned long *ret)
{
	unsigned long v = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		v = v * 10 + (unsigned long)(*text - '0');
		if (v > max)
			return -ERANGE;
	}
	*ret = v;
	return 0;
}

int match_set_addr(struct sq_match *m, const char *value, const char *field, struct sq_error *err)
{
	static const char accepts[] = "an IPv4 or IPv6 address or prefix, as in 10.0.0.0/8 or "
				      "2001:db8::/32";
	char text[INET6_ADDRSTRLEN], masked[INET6_ADDRSTRLEN], hint[128];
	const char *slash = strchr(value, '/');
	size_t len = slash ? (size_t)(slash - value) : strlen(value);
	struct sq_match new = *m;
	unsigned long prefix_len;
	uint8_t mask[16];
	unsigned i;
	bool host_bits = false;

	if (len >= sizeof(text))
		return sq_error_value(err, -EINVAL, field, value, accepts);
	memcpy(text, value, len);
	text[len] = 0;
	memset(new.addr, 0, sizeof(new.addr));
	if (inet_pton(AF_INET, text, new.addr) == 1)
		new.family = 4;
	else if (inet_pton(AF_INET6, text, new.addr) == 1)
		new.family = 6;
	else
		return sq_error_value(err, -EINVAL, field, value, accepts);
	prefix_len = addr_bits(&new);
	if (slash && parse_uint(slash + 1, addr_bits(&new), &prefix_len))
		return sq_error_value(err, -EINVAL, field, value,
				      new.family == 4 ? "an IPv4 prefix length is 0 to 32"
						      : "an IPv6 prefix length is 0 to 128");
	/* RFC 4291, 2.5.5.2: a way to write an IPv4 address, which no packet has. */
	if (new.family == 6 && prefix_len >= 96 &&
	    IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)new.addr)) {
		memmove(new.addr, new.addr + 12, 4);
		memset(new.addr + 4, 0, 12);
		new.family = 4;
		prefix_len -= 96;
	}
	new.prefix_len = (uint8_t)prefix_len;
	prefix_mask(mask, new.prefix_len);
	for (i = 0; i < 16; i++) {
		host_bits |= new.addr[i] & ~mask[i];
		new.addr[i] &= mask[i];
	}
	if (host_bits) {
		inet_ntop(new.family == 4 ? AF_INET : AF_INET6, new.addr, masked, sizeof(masked));
		snprintf(hint, sizeof(hint), "bits are set beyond the prefix; the network is %s/%u",
			 masked, new.prefix_len);
		return sq_error_value(err, -EINVAL, field, value, hint);
	}
	*m = new;
	return 0;
}

char *match_format_addr(const struct sq_match *m, char *buf, size_t size)
{
	char text[INET6_ADDRSTRLEN];

	buf[0] = 0;
	if (!m->family)
		return buf;
	inet_ntop(m->family == 4 ? AF_INET : AF_INET6, m->addr, text, sizeof(text));
	if (m->prefix_len == addr_bits(m))
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "%s/%u", text, m->prefix_len);
	return buf;
}

int match_set_port(struct sq_match *m, enum port_kind kind, const char *value, const char *field,
		   struct sq_error *err)
{
	static const char accepts[] = "a port from 1 to 65535 or a range, as in 8883 or 8000-9000";
	const char *dash = strchr(value, '-');
	unsigned long lo, hi;
	char first[8];

	if (dash) {
		if ((size_t)(dash - value) >= sizeof(first))
			return sq_error_value(err, -EINVAL, field, value, accepts);
		memcpy(first, value, (size_t)(dash - value));
		first[dash - value] = 0;
		if (parse_uint(first, 65535, &lo) || parse_uint(dash + 1, 65535, &hi))
			return sq_error_value(err, -EINVAL, field, value, accepts);
	} else {
		if (parse_uint(value, 65535, &lo))
			return sq_error_value(err, -EINVAL, field, value, accepts);
		hi = lo;
	}
	if (lo == 0)
		return sq_error_value(err, -EINVAL, field, value, accepts);
	if (lo > hi)
		return sq_error_value(err, -EINVAL, field, value,
				      "a range goes from the lower port to the higher");
	switch (kind) {
	case PORT_REMOTE:
		m->rport_lo = (uint16_t)lo;
		m->rport_hi = (uint16_t)hi;
		break;
	case PORT_LOCAL:
		m->lport_lo = (uint16_t)lo;
		m->lport_hi = (uint16_t)hi;
		break;
	case PORT_EITHER:
		m->aport_lo = (uint16_t)lo;
		m->aport_hi = (uint16_t)hi;
		break;
	}
	return 0;
}

char *match_format_port(uint16_t lo, uint16_t hi, char *buf, size_t size)
{
	if (!hi)
		buf[0] = 0;
	else if (lo == hi)
		snprintf(buf, size, "%u", lo);
	else
		snprintf(buf, size, "%u-%u", lo, hi);
	return buf;
}

const char accepts_host[] = "the name of a host, as in host broker.example.com";

int match_set_host(struct sq_rule *rule, struct sq_match *m, const char *value, const char *field,
		   struct sq_error *err)
{
	char name[SQ_HOST_SIZE] = "";
	uint32_t i;

	if (!hostname_take(value, name))
		return sq_error_value(err, -EINVAL, field, value,
				      strchr(value, '*')
					      ? "the whole name of one host; a name with * is not "
						"accepted"
					      : "the name of a host, as in host "
						"broker.example.com (" HOSTNAME_LABELS
						"); an address is given by to");
	for (i = 0; i < rule->n_hosts && strcmp(rule->host[i].name, name) != 0; i++)
		;
	if (i == SQ_MAX_HOSTS)
		return sq_error_set(err, -EINVAL, field,
				    "%.80s is one too many: a rule names at most %d hosts", name,
				    SQ_MAX_HOSTS);
	memcpy(rule->host[i].name, name, sizeof(name));
	if (i == rule->n_hosts)
		rule->n_hosts++;
	m->host = (uint8_t)(i + 1);
	return 0;
}

const char *match_host(const struct sq_rule *rule, const struct sq_match *m)
{
	return m->host && m->host <= SQ_MAX_HOSTS ? rule->host[m->host - 1].name : "";
}

/* In the order in which the rule as it is written names them, so that equal rules are equal. */
static void renumber(struct sq_rule *new, const struct sq_rule *old, struct sq_match *m)
{
	uint32_t i;

	if (!m->host)
		return;
	for (i = 0; i < new->n_hosts &&strcmp(new->host[i].name, match_host(old, m)) != 0; i++)
		;
	new->host[i] = old->host[m->host - 1];
	if (i == new->n_hosts)
		new->n_hosts++;
	m->host = (uint8_t)(i + 1);
}

void hosts_finish(struct sq_rule *rule)
{
	const struct sq_rule old = *rule;
	uint32_t i;

	memset(rule->host, 0, sizeof(rule->host));
	rule->n_hosts = 0;
	for (i = 0; i < rule->n_clauses; i++)
		renumber(rule, &old, &rule->clause[i].match);
	for (i = 0; i < rule->n_excepts; i++)
		renumber(rule, &old, &rule->except[i]);
	for (i = 0; i < rule->n_hosts; i++) {
		rule->host[i].hash = SQ_HOST_BASIS;
		for (const char *c = rule->host[i].name; *c; c++)
			rule->host[i].hash =
				(rule->host[i].hash ^ (unsigned char)*c) * SQ_HOST_PRIME;
	}
}

static bool ports_valid(uint16_t lo, uint16_t hi)
{
	return (!lo && !hi) || (lo && lo <= hi);
}

int match_finish(struct sq_match *m, const char *field, struct sq_error *err)
{
	bool ports = m->rport_hi || m->lport_hi || m->aport_hi;
	uint8_t tcp = m->flags & SQ_M_TCP;
	char name[MATCH_PROTO_SIZE];
	unsigned i;

	if (m->family != 0 && m->family != 4 && m->family != 6)
		return sq_error_set(err, -EINVAL, field, "family %u is not accepted: 4 or 6",
				    m->family);
	if (m->prefix_len > (m->family ? addr_bits(m) : 0))
		return sq_error_set(err, -EINVAL, field,
				    "prefix length %u is not accepted: 0 to %u", m->prefix_len,
				    m->family ? addr_bits(m) : 0);
	if (!ports_valid(m->rport_lo, m->rport_hi) || !ports_valid(m->lport_lo, m->lport_hi) ||
	    !ports_valid(m->aport_lo, m->aport_hi))
		return sq_error_set(err, -EINVAL, field,
				    "a port range is not accepted: from the lower port to the "
				    "higher, 1 to 65535");
	if (ports && !has_ports(m->proto)) {
		match_format_proto(m, name, sizeof(name));
		return sq_error_set(err, -EINVAL, field,
				    "a port with proto %s is not accepted: %s has no ports", name,
				    name);
	}
	if (tcp && m->proto && m->proto != IPPROTO_TCP) {
		match_format_proto(m, name, sizeof(name));
		return sq_error_set(
			err, -EINVAL, field,
			"syn, fin or rst with proto %s is not accepted: only TCP has them", name);
	}
	if (tcp)
		m->proto = IPPROTO_TCP;
	prefix_mask(m->mask, m->family ? m->prefix_len : 0);
	for (i = 0; i < 16; i++)
		m->addr[i] &= m->mask[i];
	/*
	 * "Named" lifts the built-in exemptions (metadata addresses, control
	 * ports, ...). A wide prefix or a range of ports covers much without
	 * naming it, and must not cut the control channel by accident.
	 */
	m->flags = tcp;
	if (m->family && m->prefix_len >= (m->family == 4 ? 16 : 10))
		m->flags |= SQ_M_ADDR_NAMED;
	if ((m->rport_hi && m->rport_lo == m->rport_hi) ||
	    (m->lport_hi && m->lport_lo == m->lport_hi) ||
	    (m->aport_hi && m->aport_lo == m->aport_hi))
		m->flags |= SQ_M_PORT_NAMED;
	return 0;
}

static const struct {
	const char *word;
	uint8_t flag;
} tcp_flags[] = {{"syn", SQ_M_SYN}, {"fin", SQ_M_FIN}, {"rst", SQ_M_RST}};

uint8_t match_tcp_flag(const char *word)
{
	for (size_t i = 0; i < sizeof(tcp_flags) / sizeof(*tcp_flags); i++)
		if (!strcmp(word, tcp_flags[i].word))
			return tcp_flags[i].flag;
	return 0;
}

const char *match_tcp_word(const struct sq_match *m, unsigned i)
{
	if (i >= sizeof(tcp_flags) / sizeof(*tcp_flags))
		return NULL;
	return m->flags & tcp_flags[i].flag ? tcp_flags[i].word : "";
}

bool match_is_any(const struct sq_match *m)
{
	return !m->family && !m->proto && !m->rport_hi && !m->lport_hi && !m->aport_hi &&
	       !m->host && !(m->flags & SQ_M_TCP);
}

bool sq_match_equal(const struct sq_match *a, const struct sq_match *b)
{
	return !memcmp(a->addr, b->addr, sizeof(a->addr)) && a->rport_lo == b->rport_lo &&
	       a->rport_hi == b->rport_hi && a->lport_lo == b->lport_lo &&
	       a->lport_hi == b->lport_hi && a->aport_lo == b->aport_lo &&
	       a->aport_hi == b->aport_hi && a->family == b->family && a->proto == b->proto &&
	       a->prefix_len == b->prefix_len && a->host == b->host &&
	       !((a->flags ^ b->flags) & SQ_M_TCP);
}

static bool in_range(uint16_t port, uint16_t lo, uint16_t hi)
{
	return !hi || (port >= lo && port <= hi);
}

bool sq_match_meets(const struct sq_match *m, const struct sq_ends *p)
{
	if ((m->family && m->family != p->family) || (m->proto && m->proto != p->proto) ||
	    !in_range(p->rport, m->rport_lo, m->rport_hi) ||
	    !in_range(p->lport, m->lport_lo, m->lport_hi))
		return false;
	if (m->aport_hi && !in_range(p->rport, m->aport_lo, m->aport_hi) &&
	    !in_range(p->lport, m->aport_lo, m->aport_hi))
		return false;
	for (int i = 0; i < 16; i++)
		if ((p->remote[i] & m->mask[i]) != (m->addr[i] & m->mask[i]))
			return false;
	return true;
}
