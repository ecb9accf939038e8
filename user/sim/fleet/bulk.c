// SPDX-License-Identifier: GPL-2.0-only
/* Payloads that are read while they are sent: of a size, or of a file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "sim/fleet/bulk.h"
#include "sim/mqtt/mqtt.h"

#define PATTERN (26 * 2520) /* the alphabet over and over, as shorter payloads have it */

struct sim_bulk {
	uint32_t refs, len;
	int fd; /* -1: the pattern */
	uint8_t pattern[];
};

struct sim_bulk *sim_bulk_size(uint32_t bytes)
{
	struct sim_bulk *b = malloc(sizeof(*b) + PATTERN);

	if (!b)
		return NULL;
	*b = (struct sim_bulk){.refs = 1, .len = bytes, .fd = -1};
	for (uint32_t i = 0; i < PATTERN; i++)
		b->pattern[i] = (uint8_t)('a' + i % 26);
	return b;
}

int sim_open_payload(const char *path)
{
	/* A FIFO is refused by whoever reads, not waited for. */
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
			       .resolve = RESOLVE_NO_SYMLINKS};

	if (strncmp(path, SIM_NO_LINKS, strlen(SIM_NO_LINKS)))
		return open(path, (int)how.flags);
	return (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof(how));
}

int sim_bulk_file(const char *path, const char *field, struct sim_bulk **ret, struct sq_error *err)
{
	int fd = sim_open_payload(path);
	struct sim_bulk *b;
	struct stat st;

	if (fd < 0)
		return sq_bad(err, "%s: file '%.200s': %s", field, path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size > MQTT_MAX_REMAINING) {
		close(fd);
		return sq_bad(err,
			      "%s: file '%.200s': accepted: a regular file of at most %u bytes",
			      field, path, MQTT_MAX_REMAINING);
	}
	b = malloc(sizeof(*b));
	if (!b) {
		close(fd);
		return sq_bad(err, "%s: out of memory", field);
	}
	*b = (struct sim_bulk){.refs = 1, .len = (uint32_t)st.st_size, .fd = fd};
	*ret = b;
	return 0;
}

struct sim_bulk *sim_bulk_ref(struct sim_bulk *b)
{
	b->refs++;
	return b;
}

void sim_bulk_put(struct sim_bulk *b)
{
	if (!b || --b->refs)
		return;
	if (b->fd >= 0)
		close(b->fd);
	free(b);
}

uint32_t sim_bulk_len(const struct sim_bulk *b)
{
	return b->len;
}

const uint8_t *sim_bulk_read(const struct sim_bulk *b, uint32_t at, uint32_t n, uint8_t *scratch,
			     uint32_t *ret_n)
{
	ssize_t got;

	if (b->fd < 0) {
		uint32_t from = at % PATTERN;

		*ret_n = n < PATTERN - from ? n : PATTERN - from;
		return b->pattern + from;
	}
	do
		got = pread(b->fd, scratch, n, at);
	while (got < 0 && errno == EINTR);
	if (got <= 0)
		return NULL;
	*ret_n = (uint32_t)got;
	return scratch;
}
