// SPDX-License-Identifier: GPL-2.0-only
#include "lib/boot.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

const char *sq_boot_id(void)
{
	static char id[40];
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	if (!id[0]) {
		int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd >= 0 ? read(fd, id, 36) : -1;

		if (n != 36)
			strcpy(id, "unknown");
		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_unlock(&lock);
	return id;
}
