/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules: text <-> struct sq_rule <-> JSON. One implementation for the command
 * line, the HTTP API, docker-tc's labels and state files.
 *
 * Text (words of tc-netem(8) and tc-tbf(8); `also` starts another clause):
 *
 *   RULE    := CLAUSE [ also CLAUSE ]... OPTION...
 *   CLAUSE  := [ up | down | both ] FAULT... [ up|down FAULT... ]... [ match MATCH... ]
 *              with FLOW... anywhere among its faults, which are then optional
 *   FAULT   := loss PERCENT [CORR] | loss random PERCENT [CORR]
 *            | loss gemodel P [R [1-H [1-K]]] | loss state P13 [P31 [P32 [P23 [P14]]]]
 *            | delay TIME [JITTER [CORR]] [distribution uniform|normal|pareto|paretonormal]
 *            | duplicate PERCENT [CORR] | corrupt PERCENT [CORR]
 *            | reorder PERCENT [CORR] [gap N]
 *            | rate RATE [burst SIZE] [limit SIZE | latency TIME]
 *            | mtu BYTES [icmp] | blackhole
 *   FLOW    := each flow|address | flows PERCENT | hang WHEN | reset WHEN | max-flows N
 *            | dns nxdomain|servfail|timeout|slow TIME
 *   WHEN    := old | idle TIME | after TIME | after SIZE [up|down]
 *            | at connack|suback|puback|pingresp
 *   MATCH   := proto tcp|udp|icmp|any|NAME|NUMBER | to CIDR | host NAME | dport PORT[-PORT] | sport
 * PORT[-PORT] | port PORT[-PORT] | syn | fin | rst OPTION  := except MATCH... | for TIME | seed N |
 * on-crash clear|keep | links N
 *
 * Seen from the target: `to` is the remote address and dport the remote port
 * in both directions, sport the local one, `port` either. Without a direction
 * the faults act `up`, as "outgoing" is what docker-tc's manual promises.
 * Several `except` words add entries.
 *
 * Functions fill struct sq_error on failure: one line that names the field,
 * the value and what is accepted. The rule is untouched then.
 */
#ifndef SQUALL_RULE_H
#define SQUALL_RULE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <squall/abi.h>

#define SQ_RULE_TEXT_MAX      65536 /* bytes of a rule's text */
#define SQ_RULE_CANONICAL_MAX 16384 /* holds what sq_rule_to_text() makes of any rule */

/* The one error of all programs. lib/error.h fills it. */
struct sq_error {
	int code;	/* what the function returned: a negative errno */
	char field[64]; /* "up.loss", "clause[1].match.to", "for"; "" if none */
	char text[512]; /* the whole line: field, value (escaped, cut), what is accepted */
	/* Names that would do, where one was ambiguous; else NULL. Who asked with that name owns
	 * the list. */
	json_t *candidates;
};

/* 0, -EINVAL or -E2BIG. rule->id, target, counters and expires_ns are zero; seed is zero unless
 * given (SQ_R_SEED_GIVEN). `words` need not be quoted: words[i] are argv words. The result has been
 * through sq_rule_finish(). */
int sq_rule_from_words(int n, const char *const *words, struct sq_rule *ret, struct sq_error *err);
int sq_rule_from_text(const char *text, size_t len, struct sq_rule *ret, struct sq_error *err);

/* Canonical text that parses back to an equal rule. Returns its length or -ENOSPC. */
int sq_rule_to_text(const struct sq_rule *rule, char *buf, size_t size);

/*
 * JSON (strict: an unknown key is an error; keys carry their units):
 *   {"clauses":[{"up":FAULTS,"down":FAULTS,"match":MATCH,"each":"flow","flows_pct":X,"max_flows":N,"dns":"nxdomain"|{"slow_ns":N},
 *                "hang"|"reset":{"old":true}|{"idle_ns":N}|{"after_ns":N}|
 *                {"after_bytes":N,"of":"up"|"down"}|{"at":"puback"}}], "except":[MATCH...],
 * "links":N, "for_ns":N, "seed":N, "on_crash":"clear"|"keep"}
 *   {"text":"up loss 10% delay 100ms"}   (alone, or with for_ns/seed/on_crash)
 *   FAULTS := {"loss":{"pct":10,"corr_pct":25} | {"gemodel":{"p_pct":..,"r_pct":..,"1-h_pct":..,
 *              "1-k_pct":..}} | {"state":{"p13_pct":..,"p31_pct":..,"p32_pct":..,"p23_pct":..,
 *              "p14_pct":..}},
 *              "delay_ns":N,"jitter_ns":N,"delay_corr_pct":X,"distribution":"normal",
 *              "duplicate_pct":X,"duplicate_corr_pct":X,"corrupt_pct":X,"corrupt_corr_pct":X,
 *              "reorder_pct":X,"reorder_corr_pct":X,"gap":N,
 *              "rate_bps":N,"burst_bytes":N,"limit_bytes":N | "latency_ns":N,
 *              "mtu_bytes":N,"mtu_icmp":true,"blackhole":true}
 *   MATCH  := {"proto":"tcp","to":"10.0.0.0/8","host":"broker.example.com","dport":"8883" | 8883 |
 * "8000-9000","sport":.., "port":..,"syn":true,"fin":true,"rst":true} sq_rule_to_json() adds, for
 * reading only: "text" (canonical; sent back beside "clauses" it must still say the same, so drop
 * it before changing them), and, ignored by sq_rule_from_json(), "id", "target_id" and "drawn_seed"
 * (decimal texts, as 64 bits are too many for JavaScript), "set_ms", "expires_in_ns". Returns a new
 * reference or NULL (out of memory). Dump it with SQ_JSON_FLAGS, which keeps 0.1 from becoming
 * 0.10000000000000001 and loses no digit of a percentage.
 */
#define SQ_JSON_FLAGS (JSON_REAL_PRECISION(12))
int sq_rule_from_json(const json_t *json, struct sq_rule *ret, struct sq_error *err);
json_t *sq_rule_to_json(const struct sq_rule *rule, uint64_t now_monotonic_ns);

/*
 * Checks the whole rule and fills every derived field: masks, burst_ns,
 * limit_ns, flags (SQ_F_WIRE for loss/duplicate/corrupt/reorder/mtu, or rate with a
 * burst below 64 KiB; SQ_F_SUM for corrupt and mtu with icmp; SQ_F_LANE for delay/jitter/rate;
 * SQ_R_LANE), and sorts the clauses, most specific first (longer prefix, then
 * narrower ports, then protocol). Defaults: burst = max(4 ms at the rate,
 * 5 KiB), limit = 50 ms ("latency 50ms", docker-tc's) but never less than what
 * lets one full-size packet wait. Two clauses with the same match and a
 * common direction are refused.
 */
int sq_rule_finish(struct sq_rule *rule, struct sq_error *err);

/* Same faults, filters and options (ignores id, counters, expiry, seed that was drawn). */
bool sq_rule_equal(const struct sq_rule *a, const struct sq_rule *b);

/* A rule has room for 5 KB and needs 432 bytes as a rule: so many from its beginning say something,
 * and what lies behind is zero (but for dyn, which is the kernel's). */
size_t sq_rule_used(const struct sq_rule *rule);
/* Of these alone; *to is a rule before, or zero. */
void sq_rule_copy(struct sq_rule *to, const struct sq_rule *from);
bool sq_match_equal(const struct sq_match *a, const struct sq_match *b);

/* A connection as its target sees it. Ports in host order, IPv4 in the first four bytes. */
struct sq_ends {
	uint8_t family; /* 4 or 6 */
	uint8_t proto;
	uint16_t rport, lport;
	uint8_t remote[16];
};
/* Is it meant, but for the TCP flags that a packet of it may have or not? */
bool sq_match_meets(const struct sq_match *m, const struct sq_ends *ends);

/* Fills one jitter table of SQ_DIST_SIZE entries, sigma = SQ_DIST_SCALE. */
void sq_distribution_table(enum sq_distribution which, int16_t *table);

#endif
