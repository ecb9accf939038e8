// SPDX-License-Identifier: GPL-2.0-only
/*
 * Slips are found by edit distance, where two letters that changed places are
 * one slip; words of other tools by a table.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include "squall/help/suggest.h"

#define WORD_MAX 64

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Damerau-Levenshtein without edits of an edited pair; capitals do not count. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_MAX + 1], na = strlen(a), nb = strlen(b), i, j;
	size_t *before = rows[0], *last = rows[1], *row = rows[2], *t;

	if (na > WORD_MAX || nb > WORD_MAX)
		return WORD_MAX;
	for (j = 0; j <= nb; j++)
		last[j] = before[j] = j;
	for (i = 1; i <= na; i++) {
		row[0] = i;
		for (j = 1; j <= nb; j++) {
			int x = tolower((unsigned char)a[i - 1]);
			int y = tolower((unsigned char)b[j - 1]);

			row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == tolower((unsigned char)b[j - 2]) &&
			    y == tolower((unsigned char)a[i - 2]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		t = before;
		before = last;
		last = row;
		row = t;
	}
	return last[nb];
}

void suggest_from(struct suggestion *s, const char *name)
{
	size_t n = strlen(s->word), d, bound = n < 3 ? 1 : n < 6 ? 2 : n / 3;

	if (!n)
		return;
	/* "stat", "sched", "worker-1" for a longer name: a beginning of three letters is near. */
	d = n >= 3 && !strncmp(name, s->word, n) ? 1 : distance(s->word, name);
	if (d > bound || d >= strlen(name) || (s->best && d >= s->distance))
		return;
	s->best = name;
	s->distance = d;
}

struct synonym {
	const char *theirs, *ours;
};

static const char *look_up(const struct synonym *table, const char *word)
{
	for (; table->theirs; table++)
		if (!strcasecmp(table->theirs, word))
			return table->ours;
	return NULL;
}

static const struct synonym rule_words[] = {
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
	{NULL, NULL},
};

static const struct synonym verbs[] = {
	{"add", "set"},	     {"create", "set"},	 {"put", "set"},    {"inject", "set"},
	{"change", "set"},   {"replace", "set"}, {"start", "set"},  {"remove", "del"},
	{"rm", "del"},	     {"delete", "del"},	 {"clear", "del"},  {"stop", "del"},
	{"ls", "list"},	     {"ps", "list"},	 {"get", "show"},   {"inspect", "show"},
	{"status", "show"},  {"info", "show"},	 {"test", "check"}, {"validate", "check"},
	{"verify", "check"}, {"use", "apply"},	 {"cat", "dump"},   {"begin", "start"},
	{"run", "start"},    {"end", "stop"},	 {"list", "show"},  {NULL, NULL},
};

static const struct synonym objects[] = {
	{"rule", "fault"},	  {"rules", "fault"},	      {"netem", "fault"},
	{"tc", "fault"},	  {"inject", "fault set"},    {"set", "fault set"},
	{"add", "fault set"},	  {"del", "fault del"},	      {"delete", "fault del"},
	{"clear", "fault del"},	  {"reset", "fault del all"}, {"stop", "fault del all"},
	{"list", "target list"},  {"ls", "target list"},      {"ps", "target list"},
	{"container", "target"},  {"containers", "target"},   {"show", "fault show"},
	{"check", "fault check"}, {"counters", "stats"},      {"top", "control"},
	{"ui", "control"},	  {"panel", "control"},	      {"log", "trace"},
	{"tcpdump", "trace"},	  {"info", "status"},	      {"health", "status"},
	{"exec", "run"},	  {"diagnose", "doctor"},     {"debug", "doctor"},
	{"verify", "doctor"},	  {"preflight", "doctor"},    {"timeline", "schedule"},
	{"man", "help"},	  {"version", "--version"},   {NULL, NULL},
};

const char *suggest_rule_word(const char *word)
{
	static const char *const names[] = {
		"up",		"down",	   "both",  "loss",	 "delay",   "duplicate",
		"corrupt",	"reorder", "rate",  "blackhole", "match",   "except",
		"also",		"for",	   "seed",  "on-crash",	 "proto",   "to",
		"dport",	"sport",   "port",  "gap",	 "burst",   "limit",
		"distribution", "gemodel", "state", "normal",	 "uniform", "pareto",
		"paretonormal", "latency", "mtu",   "syn",	 "fin",	    "rst",
	};
	struct suggestion s = {.word = word};
	const char *ours = look_up(rule_words, word);
	size_t i;

	for (i = 0; !ours && i < sizeof(names) / sizeof(names[0]); i++)
		suggest_from(&s, names[i]);
	return ours ? ours : s.best;
}

const char *suggest_verb(const char *verb)
{
	return look_up(verbs, verb);
}

const char *suggest_object(const char *object)
{
	return look_up(objects, object);
}

static bool is_number(const char *w)
{
	return *w && w[strspn(w, "0123456789.")] == 0;
}

void suggest_rule(int n, char *const *words, struct sq_error *err)
{
	const char *best = NULL;
	char quoted[WORD_MAX + 3];
	size_t end = strlen(err->text);
	int i;

	for (i = 0; i < n && !best; i++) {
		/* Only the word that the error itself quotes; "latency" is tbf's, too. */
		snprintf(quoted, sizeof(quoted), "\"%.*s\"", WORD_MAX, words[i]);
		if (!is_number(words[i]) && strstr(err->text, quoted))
			best = suggest_rule_word(words[i]);
		else if (!strcmp(words[i], "latency") && strstr(err->text, "without rate"))
			best = "delay";
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
