// SPDX-License-Identifier: GPL-2.0-only
/*
 * The allocator is jemalloc, because a TLS connection is three hundred small
 * blocks between record buffers that come and go: with glibc's, 5,000 idle
 * connections took 30.9 KiB each (21.7 resumed in TLS 1.2), with this one 28.2
 * (16.0). The unit tests, and what is built with sanitizers, have another; the
 * weak symbol tells.
 */
#include <malloc.h>
#include <stddef.h>
#include "sim/base/heap.h"

int mallctl(const char *name, void *old, size_t *old_len, void *new, size_t new_len)
	__attribute__((weak));

/*
 * jemalloc(3). Freed pages are given back by sim_heap_trim() after a ramp or a
 * storm, and by use, after half a second and not ten.
 */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:500,muzzy_decay_ms:0";

void sim_heap_trim(void)
{
	/* 4096 is MALLCTL_ARENAS_ALL. */
	if (mallctl)
		mallctl("arena.4096.purge", NULL, NULL, NULL, 0);
	else
		malloc_trim(0);
}
