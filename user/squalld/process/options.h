/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * squalld's options. One table, of lib/opt, makes the parser of the command line and of the
 * configuration file, --help, the manual page and the completion.
 */
#ifndef SQUALLD_OPTIONS_H
#define SQUALLD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "lib/error.h"
#include "lib/opt/opt.h"
#include "squalld/base/log.h"

#define OPT_MAX_LIST 32

struct options {
	const char *listen[OPT_MAX_LIST + 1];
	const char *iface[OPT_MAX_LIST + 1];
	const char *allow_host[OPT_MAX_LIST + 1];
	const char *docker_socket[OPT_MAX_LIST + 1];
	size_t n_listen, n_iface, n_allow_host, n_docker_socket;
	const char *socket, *socket_group, *state_dir, *pin_dir, *config, *lane, *lane_memory;
	const char *traffic, *token_file, *tls_cert, *tls_key, *web_root;
	const char *log_format, *log_level, *docker_tc_direction, *probe_missing, *loopback, *lo,
		*completion;
	bool cleanup, foreground, help, man, version;
	enum log_level level; /* derived */
	uint64_t lane_bytes;  /* derived from lane_memory */
};

/* Defaults, then --config, then the command line, which wins. Returns 0, or a negative errno with
 * one line in err. The strings live as long as the process. */
int options_parse(int argc, char **argv, struct options *ret, struct sq_error *err);
/* The file alone, for SIGHUP. */
int options_parse_file(const char *path, struct options *ret, struct sq_error *err);
/* For help, man page and completion, by lib/opt. */
extern const struct cli_table squalld_table;

#endif
