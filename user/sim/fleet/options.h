// SPDX-License-Identifier: GPL-2.0-only
/*
 * Options as tables: the parser, --help, the man page, the completion and the
 * fleet file's keys all come from them, so they cannot disagree.
 */
#ifndef SQUALL_SIM_OPTIONS_H
#define SQUALL_SIM_OPTIONS_H

#include "sim/fleet/profile.h"

enum sim_opt_kind {
	SIM_OPT_STR,	 /* char[size] */
	SIM_OPT_FLAG,	 /* bool; on the command line without a value */
	SIM_OPT_CHOICE,	 /* uint8_t, one of `choices`: "word=value word=value" */
	SIM_OPT_U32,	 /* uint32_t, min..max */
	SIM_OPT_TIME,	 /* uint64_t ns, min..max ns; needs a unit */
	SIM_OPT_SECONDS, /* uint32_t seconds, min..max */
	SIM_OPT_PERCENT, /* uint32_t ppm */
	SIM_OPT_RATE,	 /* uint64_t thousandths per second: "500/s" */
	SIM_OPT_CALL,	 /* `call` parses */
};

struct sim_opt {
	const char *name; /* --name, and the key of files */
	const char *arg;  /* shown in help: "DURATION" */
	const char *group;
	const char *help;
	enum sim_opt_kind kind;
	size_t at, size;
	uint64_t min, max;
	const char *choices;
	int (*call)(void *base, const char *value, struct sim_err *err);
	const char *def; /* the default as text, for help */
};

/* The options of a device type, and the other names they go by. */
extern const struct sim_opt sim_profile_opts[];
extern const unsigned sim_profile_nopts;

struct sim_alias {
	const char *camel, *env, *name;
	const char *wrap; /* printf format to wrap the value in, NULL: as is */
};
extern const struct sim_alias sim_aliases[];
extern const unsigned sim_naliases;

const struct sim_opt *sim_opt_find(const struct sim_opt *opts, unsigned n, const char *name);
int sim_opt_set(const struct sim_opt *o, void *base, const char *value, struct sim_err *err);

/* 0 or -EINVAL; *ret untouched on failure. */
int sim_parse_time(const char *s, uint64_t *ret_ns);
int sim_parse_percent(const char *s, uint32_t *ret_ppm);
int sim_parse_rate(const char *s, uint64_t *ret_milli);
/* "128", "4KiB", "1kb"... when the whole text is a size. */
int sim_parse_size(const char *s, uint64_t *ret);

#endif
