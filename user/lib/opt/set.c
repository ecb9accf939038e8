// SPDX-License-Identifier: GPL-2.0-only
/* One value into its field. Units are the library's, as everywhere in Squall. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <squall/units.h>
#include "lib/error.h"
#include "lib/opt/opt.h"

int opt_parse_time(const char *s, uint64_t *ret_ns)
{
	if (!strcmp(s, "0")) {
		*ret_ns = 0;
		return 0;
	}
	return sq_parse_duration(s, ret_ns) ? -EINVAL : 0;
}

int opt_parse_percent(const char *s, uint32_t *ret_ppm)
{
	uint32_t fraction, ppm;

	if (!strchr(s, '%') || sq_parse_percent(s, &fraction))
		return -EINVAL;
	ppm = (uint32_t)lround(sq_fraction_to_percent(fraction) * 1e4);
	/* Not 0 where something was asked for. */
	if (!ppm && strpbrk(s, "123456789"))
		return -EINVAL;
	*ret_ppm = ppm;
	return 0;
}

/* Events per time, which no rule of the library has. */
int opt_parse_rate(const char *s, uint64_t *ret_milli)
{
	char *unit;
	double v, per;

	/* strtod would take "inf", "0x1p3" and leading blanks. */
	if (!*s || !strchr("0123456789.", *s) || s[1] == 'x' || s[1] == 'X')
		return -EINVAL;
	v = strtod(s, &unit);
	if (unit == s || !isfinite(v))
		return -EINVAL;
	if (!*unit || !strcmp(unit, "/s"))
		per = 1;
	else if (!strcmp(unit, "/m") || !strcmp(unit, "/min"))
		per = 60;
	else if (!strcmp(unit, "/h"))
		per = 3600;
	else
		return -EINVAL;
	if (v > 1e9)
		return -EINVAL;
	*ret_milli = (uint64_t)llround(v * 1000 / per);
	return v > 0 && !*ret_milli ? -EINVAL : 0;
}

const struct opt *opt_find(const struct opt *opts, const char *name)
{
	for (; opts && opts->name; opts++)
		if (!strcmp(opts->name, name))
			return opts;
	return NULL;
}

const struct opt *opt_find_key(const struct opt *opts, const char *name)
{
	for (; opts && opts->name; opts++) {
		const char *a = opts->name, *b = name;

		while (*a && (*a == *b || (*a == '-' && *b == '_'))) {
			a++;
			b++;
		}
		if (!*a && !*b)
			return opts;
	}
	return NULL;
}

static int refuse(const struct opt *o, const char *value, struct sq_error *err,
		  const char *accepted)
{
	return sq_error_value(err, -EINVAL, o->name, value, accepted);
}

/* "auto fq" or "lean=0 paho=1": the number of the word, or -EINVAL. */
static int choice(const struct opt *o, const char *value, struct sq_error *err)
{
	size_t n = strlen(value);
	char words[128] = "";
	int i = 0;

	for (const char *c = o->choices; *c; i++) {
		size_t word = strcspn(c, "= ");

		if (word == n && !memcmp(c, value, n))
			return c[word] == '=' ? atoi(c + word + 1) : i;
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "%s%.*s",
			 *words ? ", " : "", (int)word, c);
		c += strcspn(c, " ");
		c += strspn(c, " ");
	}
	return refuse(o, value, err, words);
}

static int flag_value(const char *v, bool *ret)
{
	static const char *const yes[] = {"true", "yes", "on", "1"};
	static const char *const no[] = {"false", "no", "off", "0"};

	for (int i = 0; i < 4; i++) {
		if (!strcasecmp(v, yes[i]) || !strcasecmp(v, no[i])) {
			*ret = !strcasecmp(v, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int whole_number(const struct opt *o, const char *value, uint64_t *ret, struct sq_error *err)
{
	bool seconds = o->kind == OPT_SECONDS;
	char accepted[96], *end;

	errno = 0;
	*ret = strtoull(value, &end, 10);
	if (seconds && !strcmp(end, "s") && end != value)
		end++;
	if (*value >= '0' && *value <= '9' && !*end && !errno && *ret >= o->min && *ret <= o->max)
		return 0;
	snprintf(accepted, sizeof(accepted), "a whole number%s from %llu to %llu",
		 seconds ? " of seconds" : "", (unsigned long long)o->min,
		 (unsigned long long)o->max);
	return refuse(o, value, err, accepted);
}

static int set_time(const struct opt *o, uint64_t *to, const char *value, struct sq_error *err)
{
	char accepted[128];
	uint64_t ns;

	if (!opt_parse_time(value, &ns) && ns >= o->min && ns <= o->max) {
		*to = ns;
		return 0;
	}
	snprintf(accepted, sizeof(accepted),
		 "a time with its unit, e.g. 250ms, 1.5s, 2m, from %gs to %gs",
		 (double)o->min / 1e9, (double)o->max / 1e9);
	return refuse(o, value, err, accepted);
}

static int set_list(const struct opt *o, void *base, const char *value, struct sq_error *err)
{
	size_t *n = (size_t *)((char *)base + o->size);

	if (!*value)
		return sq_error_set(err, -EINVAL, o->name, "an empty %s is not accepted", o->arg);
	if (*n >= o->max)
		return sq_error_set(err, -EINVAL, o->name, "given more than %d times", (int)o->max);
	((const char **)((char *)base + o->at))[(*n)++] = value;
	return 0;
}

static int set_text(const struct opt *o, const char **to, const char *value, struct sq_error *err)
{
	if (strlen(value) < o->min)
		return sq_error_set(err, -EINVAL, o->name, "an empty %s is not accepted", o->arg);
	if (o->choices && choice(o, value, err) < 0)
		return -EINVAL;
	*to = value;
	return 0;
}

int opt_set(const struct opt *o, void *base, const char *value, struct sq_error *err)
{
	void *to = (char *)base + o->at;
	uint64_t u;
	bool b;
	int r;

	switch (o->kind) {
	case OPT_BIT:
		return 0;
	case OPT_SWITCH:
		*(bool *)to = true;
		return 0;
	case OPT_CALL:
		return o->call(base, value, err);
	case OPT_TEXT:
		return set_text(o, to, value, err);
	case OPT_LIST:
		return set_list(o, base, value, err);
	case OPT_STR:
		if (strlen(value) < o->min)
			return sq_error_set(err, -EINVAL, o->name, "an empty %s is not accepted",
					    o->arg);
		if (strlen(value) >= o->size)
			return sq_error_set(err, -EINVAL, o->name, "longer than %zu bytes",
					    o->size - 1);
		snprintf(to, o->size, "%s", value);
		return 0;
	case OPT_CHOICE:
		r = choice(o, value, err);
		if (r >= 0)
			*(uint8_t *)to = (uint8_t)r;
		return r < 0 ? r : 0;
	case OPT_FLAG:
		if (flag_value(value, &b))
			return refuse(o, value, err, "true, false");
		*(bool *)to = o->min ? !b : b;
		return 0;
	case OPT_U32:
	case OPT_SECONDS:
	case OPT_U64:
		r = whole_number(o, value, &u, err);
		if (!r && o->kind == OPT_U64)
			*(uint64_t *)to = u;
		else if (!r)
			*(uint32_t *)to = (uint32_t)u;
		return r;
	case OPT_TIME:
		return set_time(o, to, value, err);
	case OPT_PERCENT:
		return opt_parse_percent(value, to) ? refuse(o, value, err, "0% to 100%") : 0;
	case OPT_RATE:
		return opt_parse_rate(value, to)
			       ? refuse(o, value, err, "a rate, e.g. 500/s, 10/min")
			       : 0;
	}
	return sq_error_set(err, -EINVAL, o->name, "cannot be set");
}

/* "lean=0 paho=1": the word of a number. */
static void word_of(const char *choices, int n, char *buf)
{
	int i = 0;

	for (const char *c = choices; *c; i++) {
		size_t word = strcspn(c, "= ");

		if ((c[word] == '=' ? atoi(c + word + 1) : i) == n) {
			snprintf(buf, OPT_SHOWN, " %.*s", (int)word, c);
			return;
		}
		c += strcspn(c, " ");
		c += strspn(c, " ");
	}
}

char *opt_show(const struct opt *o, const void *base, char buf[OPT_SHOWN])
{
	const void *at = (const char *)base + o->at;
	char quoted[OPT_SHOWN - 1];

	*buf = 0;
	if (!strcmp(o->name, "password") || !strcmp(o->name, "token"))
		return buf;
	if (o->kind == OPT_STR && *(const char *)at)
		snprintf(buf, OPT_SHOWN, " %s", sq_quote(at, strlen(at), quoted, sizeof(quoted)));
	else if (o->kind == OPT_CHOICE)
		word_of(o->choices, *(const uint8_t *)at, buf);
	else if (o->kind == OPT_U32 || o->kind == OPT_SECONDS)
		snprintf(buf, OPT_SHOWN, " %u", *(const uint32_t *)at);
	else if (o->kind == OPT_TIME)
		snprintf(buf, OPT_SHOWN, " %gs", (double)*(const uint64_t *)at / 1e9);
	else if (o->kind == OPT_PERCENT)
		snprintf(buf, OPT_SHOWN, " %g%%", (double)*(const uint32_t *)at / 1e4);
	else if (o->kind == OPT_RATE)
		snprintf(buf, OPT_SHOWN, " %g/s", (double)*(const uint64_t *)at / 1e3);
	return buf;
}
