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
	{"rtt", "delay"},
	{"bandwidth", "rate"},
	{"bw", "rate"},
	{"bitrate", "rate"},
	{"throughput", "rate"},
	{"throttle", "rate"},
	{"speed", "rate"},
	{"limit-rate", "rate"},
	{"egress", "up"},
	{"out", "up"},
	{"outgoing", "up"},
	{"upload", "up"},
	{"outbound", "up"},
	{"upstream", "up"},
	{"uplink", "up"},
	{"send", "up"},
	{"tx", "up"},
	{"ingress", "down"},
	{"in", "down"},
	{"incoming", "down"},
	{"download", "down"},
	{"inbound", "down"},
	{"downstream", "down"},
	{"downlink", "down"},
	{"receive", "down"},
	{"rx", "down"},
	{"bidirectional", "both"},
	{"duplex", "both"},
	{"all", "both"},
	{"drop", "loss"},
	{"lose", "loss"},
	{"packet-loss", "loss"},
	{"packetloss", "loss"},
	{"packet_loss", "loss"},
	{"jitter", "delay TIME JITTER"},
	{"dup", "duplicate"},
	{"duplication", "duplicate"},
	{"corruption", "corrupt"},
	{"damage", "corrupt"},
	{"bitflip", "corrupt"},
	{"shuffle", "reorder"},
	{"dist", "distribution"},
	{"reordering", "reorder"},
	{"block", "blackhole"},
	{"partition", "blackhole"},
	{"offline", "blackhole"},
	{"disconnect", "blackhole"},
	{"freeze", "hang"},
	{"stall", "hang"},
	{"rst", "reset"},
	{"mss", "mtu"},
	{"duration", "for"},
	{"timeout", "for"},
	{"during", "for"},
	{"until", "for"},
	{"connection", "flow"},
	{"stream", "flow"},
	{"peer", "address"},
	{"dst-port", "dport"},
	{"dest-port", "dport"},
	{"destination-port", "dport"},
	{"src-port", "sport"},
	{"source-port", "sport"},
	{"from", "to"},
	{"src", "to"},
	{"source", "to"},
	{"net", "to"},
	{"dst", "to"},
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

/* Is the word one of those that the error lists: ": loss, delay or rate comes here"? */
static bool listed(const char *error, const char *word)
{
	const char *p = strstr(error, " is not accepted: ");
	size_t n = strcspn(word, " ");

	while (p && (p = strstr(p + 1, word)))
		if ((!strncmp(p - 2, ", ", 2) || !strncmp(p - 2, ": ", 2) ||
		     !strncmp(p - 4, " or ", 4)) &&
		    strchr(" ,;", p[n]))
			return true;
	return false;
}

/* Ours for a word of others: of several the one that is accepted where the error was. */
static const char *synonym(const char *word, const char *error)
{
	const char *first = NULL;

	for (const char *const(*y)[2] = rule_words; (*y)[0]; y++) {
		if (strcasecmp((*y)[0], word))
			continue;
		if (listed(error, (*y)[1]))
			return (*y)[1];
		first = first ?: (*y)[1];
	}
	return first;
}

/* A slip is for a word that the error lists, or for one that belongs to a fault in front of it. */
static const char *slip(const char *word, const char *error)
{
	static const char *const names[] = {
		"up",	     "down",	  "both",   "loss",   "delay",	"duplicate", "corrupt",
		"reorder",   "rate",	  "mtu",    "each",   "flows",	"flow",	     "address",
		"hang",	     "reset",	  "match",  "except", "also",	"for",	     "seed",
		"on-crash",  "proto",	  "to",	    "dport",  "sport",	"port",	     "syn",
		"fin",	     "rst",	  "links",  "keep",   "clear",	"uniform",   "tcp",
		"max-flows", "udp",	  "icmp",   "any",    "normal", "old",	     "idle",
		"after",     "blackhole", "pareto", "dns",    "host"};
	static const char *const parts[] = {"gap",     "burst",	  "limit", "distribution",
					    "gemodel", "latency", "state", "paretonormal"};
	struct suggestion s = {.word = word};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (listed(error, names[i]))
			suggest_from(&s, names[i]);
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (listed(error, "loss"))
			suggest_from(&s, parts[i]);
	return s.best;
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

static const char *const percent_units[][2] = {
	{"percent", "%"}, {"percentage", "%"}, {"pct", "%"}, {"pc", "%"}, {NULL, NULL}};

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

/* The unit that others write so, in place of which ours stands behind the number; NULL if none. */
static const char *our_unit(const char *theirs, const char *error)
{
	if (strstr(error, "a rate from"))
		return opt_synonym(rate_units, theirs);
	if (strstr(error, "a time"))
		return opt_synonym(time_units, theirs);
	return strstr(error, "0% to 100%") ? opt_synonym(percent_units, theirs) : NULL;
}

/* A unit that stands alone: ours, or what of ours it is. */
static const char *lone_unit(const char *w)
{
	return is_unit(w) ? w : opt_synonym(time_units, w) ?: opt_synonym(percent_units, w);
}

/* delay=100ms,loss=5% as words: "delay 100ms loss 5%". */
static const char *unglued(const char *w, const char *error, char *buf, size_t size)
{
	char name[WORD_MAX], *p;
	size_t head = strcspn(w, "=:");

	if (!head || !w[head] || !w[head + 1] || head >= WORD_MAX)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)head, w);
	snprintf(buf, size, "%s %.*s", synonym(name, error) ?: slip(name, error) ?: name, WORD_MAX,
		 w + head + 1);
	for (p = strpbrk(buf, "=,"); p; p = strpbrk(p, "=,"))
		*p = ' ';
	return buf;
}

/* What a filter lacks in front of an address or a port. */
static const char *filter_word(const char *w)
{
	size_t n = strspn(w, "0123456789-");

	if (!n)
		return NULL;
	return !w[n] ? "port" : w[n] == '.' || w[n] == ':' ? "to" : NULL;
}

/* 10m, 100 ms, 5% loss, 100ms/20ms: what the word that the error quotes was to be. */
static const char *reshaped(int i, int n, char *const *words, const char *error, char *buf,
			    size_t size)
{
	const char *w = words[i], *next = i + 1 < n ? words[i + 1] : "", *unit;
	size_t number = digits(w), sign = strspn(w, "+-~/"), end = strlen(w);

	if (i && is_number(words[i - 1]) && (unit = lone_unit(w))) {
		snprintf(buf, size, "%.*s%.*s", WORD_MAX, words[i - 1], WORD_MAX, unit);
		return buf;
	}
	if (is_number(w) && (unit = our_unit(next, error) ?: lone_unit(next))) {
		snprintf(buf, size, "%.*s%.*s", WORD_MAX, w, WORD_MAX, unit);
		return buf;
	}
	if (strstr(error, "a filter starts with the word match")) {
		snprintf(buf, size, "match %.*s", WORD_MAX, w);
		return buf;
	}
	if (strstr(error, "proto, to, dport") && filter_word(w)) {
		snprintf(buf, size, "%s %.*s", filter_word(w), WORD_MAX, w);
		return buf;
	}
	if (number && w[number] && (unit = our_unit(w + number, error))) {
		snprintf(buf, size, "%.*s%s", (int)number, w, unit);
		return buf;
	}
	if (end > 1 && w[end - 1] == ',') {
		snprintf(buf, size, "%.*s", (int)(end - 1 < WORD_MAX ? end - 1 : WORD_MAX), w);
		return buf;
	}
	if (strstr(error, "a time") && (number || digits(w + sign)) && strpbrk(w, "+-~/")) {
		snprintf(buf, size, "%.*s", WORD_MAX, w + sign);
		if (strpbrk(buf, "+-~/"))
			memset(strpbrk(buf, "+-~/"), ' ', 1);
		return buf;
	}
	if (number && is_fault(next) && !(i && is_fault(words[i - 1]))) {
		snprintf(buf, size, "%s %.*s", next, WORD_MAX, w);
		return buf;
	}
	return unglued(w, error, buf, size);
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
				best = synonym(words[i], err->text) ?: slip(words[i], err->text);
		} else if (!strcmp(words[i], "latency") && strstr(err->text, "without rate")) {
			best = "delay";
		}
		if (best && !strcmp(best, words[i]))
			best = NULL;
	}
	if (best)
		snprintf(err->text + end, sizeof(err->text) - end, "; did you mean \"%s\"?", best);
}

bool begins_rule(const char *word)
{
	static const char *const others[] = {"up",   "down",  "both", "mtu", "blackhole",
					     "hang", "reset", "each", NULL};
	size_t i;

	for (i = 0; others[i]; i++)
		if (!strcmp(others[i], word))
			return true;
	return is_fault(word);
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
