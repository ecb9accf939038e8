/* SPDX-License-Identifier: GPL-2.0-only */
/* What the text and the JSON form of a rule have in common. */
#ifndef SQUALL_LIB_RULE_PARTS_H
#define SQUALL_LIB_RULE_PARTS_H

#include <stdbool.h>
#include <squall/rule.h>
#include "lib/error.h"

#define FIELD_SIZE sizeof(((struct sq_error *)0)->field)

/* "up.loss", or "clause[2].up.loss" from the second clause on. */
void field_name(char *buf, int clause, const char *part, const char *name);

/* Each sets one part of a match from a word and refuses what is not one. */
int match_set_proto(struct sq_match *m, const char *value, const char *field, struct sq_error *err);
int match_set_addr(struct sq_match *m, const char *value, const char *field, struct sq_error *err);
enum port_kind { PORT_REMOTE, PORT_LOCAL, PORT_EITHER };
int match_set_port(struct sq_match *m, enum port_kind kind, const char *value, const char *field,
		   struct sq_error *err);
/* A host of the rule by its name, which is added where it is new: 0, and *ret is for
 * sq_match.host; or an error. */
int match_set_host(struct sq_rule *rule, struct sq_match *m, const char *value, const char *field,
		   struct sq_error *err);
const char *match_host(const struct sq_rule *rule, const struct sq_match *m); /* "" for none */
/* Hosts that no match names any more go, and the hashes of the others are set. */
void hosts_finish(struct sq_rule *rule);
/* Fills what is derived (mask, flags) and checks the parts against each other. */
int match_finish(struct sq_match *m, const char *field, struct sq_error *err);
/* The flag that a word of `match` names, or 0; and back: the i-th word, "" where the match does not
 * have it, NULL past the last. */
uint8_t match_tcp_flag(const char *word);
const char *match_tcp_word(const struct sq_match *m, unsigned i);
bool match_is_any(const struct sq_match *m);

/* The words back; "" where nothing was asked. */
#define match_proto_accepts                                                                        \
	"tcp, udp, icmp, any, or another protocol by its name or number (1 to 255)"
#define MATCH_PROTO_SIZE 8
char *match_format_proto(const struct sq_match *m, char *buf, size_t size); /* "" for any */
char *match_format_addr(const struct sq_match *m, char *buf, size_t size);
char *match_format_port(uint16_t lo, uint16_t hi, char *buf, size_t size);

const char *distribution_name(uint32_t distribution);
int distribution_by_name(const char *name); /* -1 if none */
/* Why a word of tc-netem(8), or a key of that name, is refused; NULL: not one of those. */
const char *netem_lacks(const char *word);
extern const char accepts_host[];
extern const char distribution_accepts[]; /* what else there is, and why not more; for errors */
extern const char distribution_names[];	  /* for errors */

/* What each kind of value accepts, for errors. */
extern const char accepts_percent[], accepts_corr[], accepts_time[], accepts_rate[], accepts_size[],
	accepts_gap[], accepts_mtu[], accepts_for[], accepts_seed[], accepts_on_crash[];

/* flows.c: what a clause asks of flows. */
const char *each_name(uint8_t each); /* "" for none */
int each_by_name(const char *name);  /* -1 if none */
/* A control packet of MQTT: "" and 0 for one that is none of the phases. */
const char *phase_name(uint64_t type);
uint8_t phase_by_name(const char *name);
const char *dns_name(uint8_t dns); /* "" for none */
int dns_by_name(const char *name); /* -1 if none */
bool ask_any(const struct sq_flow_ask *a);
bool ask_acts(const struct sq_flow_ask *a); /* does something by itself, without a fault */
bool ask_needs_table(const struct sq_flow_ask *a);
/* Checks it against the clause's faults and fills what is derived, also in their flags. */
int ask_finish(struct sq_clause *c, int clause, struct sq_error *err);
/* From and into the clause's object; the latter 0 or -1 (out of memory). */
int ask_from_json(const json_t *o, int clause, struct sq_flow_ask *a, struct sq_error *err);
int ask_to_json(json_t *o, const struct sq_flow_ask *a);
#define MAX_DNS_NS 60000000000ull /* of dns slow */
extern const char accepts_each[], accepts_share[], accepts_trigger[], accepts_links[],
	accepts_max_flows[], accepts_dns[];

uint32_t fraction_rest(uint32_t p); /* 1 - p */
bool faults_any(const struct sq_faults *f);

#endif
