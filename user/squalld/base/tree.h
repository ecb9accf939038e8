/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A tree of directories, parents first. Anybody may nest cgroups as deep as a
 * path is long, so neither the stack nor the descriptors grow with the depth.
 */
#ifndef SQUALLD_TREE_H
#define SQUALLD_TREE_H

#include <stddef.h>

/*
 * Calls fn for `from` (a path below mount, "" = the mount itself) and for each
 * directory below it whose path is shorter than max bytes, before it is listed.
 * fn returns 0 to go on, 1 to leave out what is below this one, negative to
 * stop. A directory that goes meanwhile is no error. -ENOMEM, or what fn said.
 */
int tree_each(const char *mount, const char *from, size_t max,
	      int (*fn)(const char *path, void *arg), void *arg);

#endif
