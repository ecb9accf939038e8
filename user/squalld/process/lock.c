// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who takes a file away holds its lock, and who gets a lock looks whether the file is still there:
 * two can never hold one of the same name.
 */
#include "squalld/process/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/error.h"
#include "squalld/base/log.h"

#define LOCK_DIR "/run/squall"
/* `squall doctor` and a sweep hold a lock for microseconds. */
#define TRIES  5
#define NAP_NS 10000000

static void path_of(const char *pin_dir, char *path, size_t size)
{
	size_t n = strlen(pin_dir), at;

	while (n > 1 && pin_dir[n - 1] == '/')
		n--;
	at = (size_t)snprintf(path, size, LOCK_DIR "/lock");
	snprintf(path + at, size - at, "%.*s", n < 400 ? (int)n : 400, pin_dir);
	for (char *s = path + at; *s; s++)
		if (*s == '/')
			*s = '-';
}

static bool still_there(const char *path, int fd)
{
	struct stat mine, there;

	return !fstat(fd, &mine) && !lstat(path, &there) && mine.st_ino == there.st_ino &&
	       mine.st_dev == there.st_dev;
}

static int open_lock(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600), rc;

	if (fd < 0)
		return -errno;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Whose it is, as a clause. */
static const char *owner_of(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char pid[32] = "";
	ssize_t n = fd >= 0 ? read(fd, pid, sizeof(pid) - 1) : 0;

	if (fd >= 0)
		close(fd);
	pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
	snprintf(buf, size, "%s%s%s", pid[0] ? ", process " : "", pid, pid[0] ? "," : "");
	return buf;
}

int process_lock(const char *pin_dir, struct sq_error *err)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	char path[512], owner[64];
	int fd = -EWOULDBLOCK;

	mkdir(LOCK_DIR, 0755);
	path_of(pin_dir, path, sizeof(path));
	for (int i = 0; i < TRIES; i++) {
		fd = open_lock(path, O_CREAT);
		if (fd >= 0 && still_there(path, fd))
			break;
		if (fd >= 0)
			close(fd);
		else if (fd != -EWOULDBLOCK)
			return sq_error_set(
				err, fd, NULL, "cannot open the lock %s: %s%s", path, strerror(-fd),
				fd == -EACCES || fd == -EROFS ? "; squalld must run as root" : "");
		fd = -EWOULDBLOCK;
		nanosleep(&nap, NULL);
	}
	if (fd < 0)
		return sq_error_set(
			err, fd, NULL,
			"--pin-dir: another squalld%s holds %.200s: stop it (`squall status` "
			"shows it), or choose another --pin-dir",
			owner_of(path, owner, sizeof(owner)), pin_dir);
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		log_debug("cannot write %s", path);
	return fd;
}

void process_unlock(const char *pin_dir, int fd)
{
	char path[512];

	path_of(pin_dir, path, sizeof(path));
	if (still_there(path, fd) && unlink(path) < 0)
		log_debug("cannot take %s away: %s", path, strerror(errno));
	close(fd);
}

void process_lock_sweep(void)
{
	DIR *dir = opendir(LOCK_DIR);
	struct dirent *d;
	char path[512];
	int fd;

	while (dir && (d = readdir(dir))) {
		if (strncmp(d->d_name, "lock-", 5) != 0)
			continue;
		snprintf(path, sizeof(path), LOCK_DIR "/%.480s", d->d_name);
		fd = open_lock(path, O_NONBLOCK); /* our own is locked too */
		if (fd < 0)
			continue;
		if (still_there(path, fd))
			unlink(path);
		close(fd);
	}
	if (dir)
		closedir(dir);
}
