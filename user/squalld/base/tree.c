// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is still to be visited is a list of paths on the heap, of which one
 * directory's children are together: one descriptor is open at a time.
 */
#include "squalld/base/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct node {
	struct node *next;
	char path[];
};

static int push(struct node **list, const char *parent, const char *name)
{
	size_t n = strlen(parent), m = strlen(name);
	struct node *node = malloc(sizeof(*node) + n + m + 2);

	if (!node)
		return -ENOMEM;
	memcpy(node->path, parent, n);
	if (*name) {
		node->path[n++] = '/';
		memcpy(node->path + n, name, m);
		n += m;
	}
	node->path[n] = 0;
	node->next = *list;
	*list = node;
	return 0;
}

static int push_children(struct node **list, const char *mount, const char *path, size_t max)
{
	char full[PATH_MAX + 512];
	struct dirent *de;
	int fd, rc = 0;
	DIR *dir;

	if ((size_t)snprintf(full, sizeof(full), "%s%s", mount, path) >= sizeof(full))
		return 0;
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (rc == 0 && (de = readdir(dir)))
		if (de->d_type == DT_DIR && de->d_name[0] != '.' &&
		    strlen(path) + strlen(de->d_name) + 2 <= max)
			rc = push(list, path, de->d_name);
	closedir(dir);
	return rc;
}

int tree_each(const char *mount, const char *from, size_t max,
	      int (*fn)(const char *path, void *arg), void *arg)
{
	struct node *list = NULL, *node;
	int rc = push(&list, from, "");

	while ((node = list)) {
		list = node->next;
		if (rc >= 0) {
			rc = fn(node->path, arg);
			if (rc == 0)
				rc = push_children(&list, mount, node->path, max);
		}
		free(node);
	}
	return rc < 0 ? rc : 0;
}
