// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a message carries that is too long to be rendered: bytes of a size, or a
 * file's as they are. Nobody holds them: they are read where and when they leave.
 */
#ifndef SQUALL_SIM_BULK_H
#define SQUALL_SIM_BULK_H

#include <stdint.h>
#include "lib/error.h"

/* A path that begins so is opened without symbolic links; Linux takes two slashes for one. */
#define SIM_NO_LINKS "//"
/* A descriptor, or -1 and errno. */
int sim_open_payload(const char *path);

struct sim_bulk; /* opaque; counted by its holders, which are all of one thread */

/* NULL without memory. */
struct sim_bulk *sim_bulk_size(uint32_t bytes);
/* A regular file; 0, or -EINVAL and `err`, which names `field`. */
int sim_bulk_file(const char *path, const char *field, struct sim_bulk **ret, struct sq_error *err);
struct sim_bulk *sim_bulk_ref(struct sim_bulk *b);
void sim_bulk_put(struct sim_bulk *b); /* NULL is accepted */
uint32_t sim_bulk_len(const struct sim_bulk *b);
/*
 * Up to `n` bytes from `at` on, which is below its length: where they are, or read into
 * `scratch`. *ret_n is how many. NULL: the file has become shorter, or cannot be read.
 */
const uint8_t *sim_bulk_read(const struct sim_bulk *b, uint32_t at, uint32_t n, uint8_t *scratch,
			     uint32_t *ret_n);

#endif
