// SPDX-License-Identifier: GPL-2.0-only
/* What the words of a rule may have meant: other tools' words, units, order, glue. */
#include <stdio.h>
#include <string.h>
#include "squall/help/suggest.h"

#define WORD_MAX 64

static const char *const rule_words[][2] = {
	{"latency", "delay"},
	{"lag", "delay"},
	{"slow", "delay"},
	{"wait", "delay"},
	{"bandwidth", "rate"},
	{"throttle", "rate"},
	{"speed", "rate"},
	{"limit-rate", "rate"},
	{"egress", "up"},
	{"out", "up"},
	{"outgoing", "up"},
	{"upload", "up"},
	{"upstream", "up"},
	{"tx", "up"},
	{"ingress", "down"},
	{"in", "down"},
	{"incoming", "down"},
	{"download", "down"},
	{"downstream", "down"},
	{"rx", "down"},
	{"drop", "loss"},
	{"lose", "loss"},
	{"packet-loss", "loss"},
	{"packetloss", "loss"},
	{"packet_loss", "loss"},
	{"jitter", "delay TIME JITTER"},
	{"dup", "duplicate"},
	{"duplication", "duplicate"},
	{"corruption", "corrupt"},
	{"reordering", "reorder"},
	{"block", "blackhole"},
	{"partition", "blackhole"},
	{"offline", "blackhole"},
	{"disconnect", "blackhole"},
	{"duration", "for"},
	{"timeout", "for"},
	{"dst", "to"},
	{"host", "to"},
	{"protocol", "proto"},
	{"filter", "match"},
	{"only", "match"},
	{"exclude", "except"},
	{"and", "also"},
	{"tcp", "proto tcp"},
	{"udp", "proto udp"},
	{"icmp", "proto icmp"},
	{"ip", "to"},
	{"address", "to"},
	{"profile", "squall profile apply TARGET PROFILE"},
	{"2G", "squall profile apply TARGET PROFILE"},
	{"3G", "squall profile apply TARGET 3G"},
	{"4G", "squall profile apply TARGET 4G"},
	{"5G", "squall profile apply TARGET 5G"},
	{"LTE", "squall profile apply TARGET PROFILE"},
	{"satellite", "squall profile apply TARGET satellite"},
	{NULL, NULL},
};

const char *suggest_rule_word(const char *word)
{
	static const char *const names[] = {
		"up",		"down",	   "both",  "loss",	 "delay",   "duplicate",
		"corrupt",	"reorder", "rate",  "blackhole", "match",   "except",
		"also",		"for",	   "seed",  "on-crash",	 "proto",   "to",
		"dport",	"sport",   "port",  "gap",	 "burst",   "limit",
		"distribution", "gemodel", "state", "normal",	 "uniform", "pareto",
		"paretonormal", "latency", "each",  "flows",	 "hang",    "reset",
		"links",	"mtu",	   "syn",   "fin",	 "rst",	    "max-flows",
	};
	struct suggestion s = {.word = word};
	const char *ours = opt_synonym(rule_words, word);
	size_t i;

	for (i = 0; !ours && i < sizeof(names) / sizeof(names[0]); i++)
		suggest_from(&s, names[i]);
	return ours ? ours : s.best;
}

/* Units as others spell them, by what the error says is expected. */
static const char *const rate_units[][2] = {
	{"m", "mbit"},	      {"mb", "mbit"},	    {"mbits", "mbit"},	{"mb/s", "mbit"},
	{"mbit/s", "mbit"},   {"mib", "mbit"},	    {"k", "kbit"},	{"kb", "kbit"},
	{"kbits", "kbit"},    {"kb/s", "kbit"},	    {"kbit/s", "kbit"}, {"g", "gbit"},
	{"gb", "gbit"},	      {"gbits", "gbit"},    {"gb/s", "gbit"},	{"bits", "bit"},
	{"megabits", "mbit"}, {"kilobits", "kbit"}, {NULL, NULL},
};
static const char *const time_units[][2] = {
	{"milliseconds", "ms"},
	{"millisecond", "ms"},
	{"millis", "ms"},
	{"mss", "ms"},
	{"seconds", "s"},
	{"second", "s"},
	{"microseconds", "us"},
	{"minutes", "m"},
	{"minute", "m"},
	{"mins", "m"},
	{"hours", "h"},
	{"hour", "h"},
	{"hr", "h"},
	{"hrs", "h"},
	{NULL, NULL},
};

static size_t digits(const char *w)
{
	return strspn(w, "0123456789.");
}

static bool is_number(const char *w)
{
	return *w && !w[digits(w)];
}

/* What is written without a blank behind its number. */
static bool is_unit(const char *w)
{
	static const char *const units[] = {"%",    "s",    "ms",   "us",   "ns",  "m",
					    "h",    "sec",  "msec", "usec", "bit", "kbit",
					    "mbit", "gbit", "kbps", "mbps", "b",   "kb",
					    "mb",   "k",    "kib",  "mib",  NULL};
	size_t i;

	for (i = 0; units[i]; i++)
		if (!strcasecmp(units[i], w))
			return true;
	return false;
}

/* "loss" "blackhole" ...: a fault, whose value follows it. */
static bool is_fault(const char *w)
{
	static const char *const faults[] = {"loss",	"delay", "duplicate", "corrupt",
					     "reorder", "rate",	 NULL};
	size_t i;

	for (i = 0; faults[i]; i++)
		if (!strcmp(faults[i], w))
			return true;
	return false;
}

/* 10m, 100 ms, delay=100ms, 5% loss: what the word that the error quotes was to be. */
static const char *reshaped(int i, int n, char *const *words, const char *error, char *buf,
			    size_t size)
{
	const char *w = words[i], *next = i + 1 < n ? words[i + 1] : "", *unit = NULL;
	size_t number = digits(w), head = strcspn(w, "=:");

	if (i && is_number(words[i - 1]) && is_unit(w)) {
		snprintf(buf, size, "%.*s%.*s", WORD_MAX, words[i - 1], WORD_MAX, w);
		return buf;
	}
	if (is_number(w) && is_unit(next)) {
		snprintf(buf, size, "%.*s%.*s", WORD_MAX, w, WORD_MAX, next);
		return buf;
	}
	if (strstr(error, "a filter starts with the word match")) {
		snprintf(buf, size, "match %.*s", WORD_MAX, w);
		return buf;
	}
	if (number && w[number] && strstr(error, "a rate from"))
		unit = opt_synonym(rate_units, w + number);
	else if (number && w[number] && strstr(error, "a time"))
		unit = opt_synonym(time_units, w + number);
	if (unit) {
		snprintf(buf, size, "%.*s%s", (int)number, w, unit);
		return buf;
	}
	if (number && is_fault(next)) {
		snprintf(buf, size, "%s %.*s", next, WORD_MAX, w);
		return buf;
	}
	if (head && w[head] && w[head + 1] && head < WORD_MAX) {
		char name[WORD_MAX];

		snprintf(name, sizeof(name), "%.*s", (int)head, w);
		snprintf(buf, size, "%s %.*s", suggest_rule_word(name) ?: name, WORD_MAX,
			 w + head + 1);
		return buf;
	}
	return NULL;
}

void suggest_rule(int n, char *const *words, struct sq_error *err)
{
	const char *best = NULL;
	char quoted[WORD_MAX + 3], buf[2 * WORD_MAX + 8];
	size_t end = strlen(err->text);
	int i;

	for (i = 0; i < n && !best; i++) {
		/* Only the word that the error itself quotes; "latency" is tbf's, too. */
		snprintf(quoted, sizeof(quoted), "\"%.*s\"", WORD_MAX, words[i]);
		if (strstr(err->text, quoted)) {
			best = reshaped(i, n, words, err->text, buf, sizeof(buf));
			if (!best && !is_number(words[i]))
				best = suggest_rule_word(words[i]);
		} else if (!strcmp(words[i], "latency") && strstr(err->text, "without rate")) {
			best = "delay";
		}
		if (best && !strcmp(best, words[i]))
			best = NULL;
	}
	if (best)
		snprintf(err->text + end, sizeof(err->text) - end, "; did you mean \"%s\"?", best);
}

const char *bare_delay(int n, char *const *words)
{
	int i;

	for (i = 0; i + 1 < n; i++)
		if (!strcmp(words[i], "delay") && is_number(words[i + 1]) &&
		    strspn(words[i + 1], "0.") < strlen(words[i + 1]))
			return words[i + 1];
	return NULL;
}
