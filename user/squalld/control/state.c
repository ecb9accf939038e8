// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <squall/rule.h>
#include "squalld/base/log.h"

#define WRITE_DELAY_MS 100
#define REST	       4 /* times the CPU that the last writing took, a second at most */
#define FILE_MAX       (256u << 20)
#define FORMAT	       1

#define KINDS 4

struct state {
	char aside[300];
	struct saver {
		const char *kind;
		state_save_fn *save;
		const struct state_slow *slow; /* in its place */
		void *arg;
	} saver[KINDS]; /* by the bit's number */
	const char *dir_name;
	pthread_mutex_t *data; /* of what is saved */
	int dir;
	atomic_uint dirty;
	atomic_int error;
	atomic_bool stop;
	pthread_mutex_t lock;
	pthread_mutex_t saving; /* one writer at a time: there is one temporary name */
	pthread_cond_t wake;
	pthread_t thread;
	bool running;
};

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_file(struct state *s, const char *name, const char *text, size_t len)
{
	char tmp[64];
	int fd, rc;

	snprintf(tmp, sizeof(tmp), ".%s.tmp", name);
	fd = openat(s->dir, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	rc = write_all(fd, text, len);
	if (rc == 0 && fsync(fd) < 0)
		rc = -errno;
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && renameat(s->dir, tmp, s->dir, name) < 0)
		rc = -errno;
	if (rc == 0)
		fsync(s->dir);
	else
		unlinkat(s->dir, tmp, 0);
	return rc;
}

int state_open(const char *dir, pthread_mutex_t *lock, struct state **ret, struct sq_error *err)
{
	pthread_condattr_t attr;
	struct state *s;
	char block[4096];
	int rc;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		rc = -errno;
		sq_error_set(err, rc, NULL, "--state-dir: cannot make %.200s: %s", dir,
			     strerror(-rc));
		return rc;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dir_name = dir;
	s->data = lock;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->saving, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->wake, &attr);
	pthread_condattr_destroy(&attr);
	s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = s->dir < 0 ? -errno : 0;
	memset(block, ' ', sizeof(block));
	if (rc == 0)
		rc = write_file(s, "probe", block, sizeof(block));
	if (rc < 0) {
		sq_error_set(err, rc, NULL,
			     "--state-dir: %.200s cannot be written: %s; %schoose another "
			     "directory with "
			     "--state-dir",
			     dir, strerror(-rc),
			     rc == -ENOSPC || rc == -EDQUOT ? "free some space, or " : "");
		if (s->dir >= 0)
			close(s->dir);
		free(s);
		return rc;
	}
	unlinkat(s->dir, "probe", 0);
	*ret = s;
	return 0;
}

static void set_aside(struct state *s, const char *name, const char *why)
{
	char aside[96];

	snprintf(aside, sizeof(aside), "%s.bad-%lld", name, (long long)time(NULL));
	log_warn("state: %s %s: set aside as %s, starting without it", name, why, aside);
	snprintf(s->aside, sizeof(s->aside),
		 "state: %s %s: set aside as %s; squalld started without what it held", name, why,
		 aside);
	if (renameat(s->dir, name, s->dir, aside) < 0)
		log_warn("state: cannot rename %s: %s", name, strerror(errno));
}

json_t *state_load(struct state *s, const char *kind)
{
	char name[48];
	json_error_t e;
	json_t *json;
	struct stat st;
	FILE *f;
	int fd;

	snprintf(name, sizeof(name), "%s.json", kind);
	/* Not blocking: a FIFO would be waited for, for ever. */
	fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0) {
		if (errno == ELOOP || errno == ENXIO)
			set_aside(s, name, "is no file");
		else if (errno != ENOENT)
			log_warn("state: cannot read %s: %s", name, strerror(errno));
		return NULL;
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX ||
	    !(f = fdopen(fd, "r"))) {
		close(fd);
		set_aside(s, name, "is no file of a sane size");
		return NULL;
	}
	json = json_loadf(f, JSON_REJECT_DUPLICATES, &e);
	fclose(f);
	if (!json) {
		set_aside(s, name, st.st_size ? "is torn or not JSON" : "is empty");
		return NULL;
	}
	if (!json_is_string(json_object_get(json, "squall")) ||
	    strcmp(json_string_value(json_object_get(json, "squall")), kind) != 0 ||
	    json_integer_value(json_object_get(json, "format")) != FORMAT) {
		set_aside(s, name, "is not a file of this squalld");
		json_decref(json);
		return NULL;
	}
	return json;
}

static void add_saver(struct state *s, unsigned int what, struct saver saver)
{
	for (unsigned int i = 0; i < KINDS; i++)
		if (what == 1u << i)
			s->saver[i] = saver;
}

void state_register(struct state *s, unsigned int what, const char *kind, state_save_fn *save,
		    void *arg)
{
	add_saver(s, what, (struct saver){.kind = kind, .save = save, .arg = arg});
}

void state_register_slow(struct state *s, unsigned int what, const char *kind,
			 const struct state_slow *slow, void *arg)
{
	add_saver(s, what, (struct saver){.kind = kind, .slow = slow, .arg = arg});
}

/* The file's text, or NULL: out of memory. */
static char *text_of(struct state *s, const struct saver *saver, bool clean)
{
	json_t *json = NULL;
	void *taken = NULL;
	char *text = NULL, *inner;

	pthread_mutex_lock(s->data);
	if (saver->slow)
		taken = saver->slow->take(saver->arg, clean);
	else
		json = saver->save(saver->arg, clean);
	pthread_mutex_unlock(s->data);
	inner = taken ? saver->slow->tell(taken) : NULL;
	if (inner && asprintf(&text, "{\n \"squall\": \"%s\",\n \"format\": %d,\n%s\n}\n",
			      saver->kind, FORMAT, inner) < 0)
		text = NULL;
	free(inner);
	if (json) {
		json_object_set_new(json, "squall", json_string(saver->kind));
		json_object_set_new(json, "format", json_integer(FORMAT));
		text = json_dumps(json, JSON_INDENT(1) | SQ_JSON_FLAGS);
	}
	json_decref(json);
	return text;
}

static int save(struct state *s, unsigned int what, bool clean)
{
	int rc = 0;

	for (unsigned int i = 0; i < KINDS; i++) {
		const struct saver *saver = &s->saver[i];
		char name[48], *text;
		int one;

		if (!(what & 1u << i) || !saver->kind)
			continue;
		text = text_of(s, saver, clean);
		snprintf(name, sizeof(name), "%s.json", saver->kind);
		one = text ? write_file(s, name, text, strlen(text)) : -ENOMEM;
		free(text);
		if (one < 0) {
			if (s->error != one)
				log_error("state: cannot write %s/%s: %s; rules act, but would not "
					  "survive a reboot",
					  s->dir_name, name, strerror(-one));
			rc = one;
			atomic_fetch_or(&s->dirty, 1u << i); /* try again */
		}
	}
	if (s->error && rc == 0)
		log_info("state: %s can be written again", s->dir_name);
	s->error = rc;
	return rc;
}

int state_flush(struct state *s, unsigned int what)
{
	int rc;

	pthread_mutex_lock(&s->saving);
	/* Cleared before it is read: what changes meanwhile is written again. */
	atomic_fetch_and(&s->dirty, ~what);
	rc = save(s, what, false);
	pthread_mutex_unlock(&s->saving);
	return rc;
}

/* This thread's: a slow disk is no reason to let what would be lost wait. */
static uint64_t cpu_ns(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *writer(void *arg)
{
	struct state *s = arg;
	uint64_t took_ns = 0;

	pthread_setname_np(pthread_self(), "state");
	while (!s->stop) {
		struct timespec until;
		uint64_t wait_ns = WRITE_DELAY_MS * 1000000ull, began;

		pthread_mutex_lock(&s->lock);
		while (!s->stop && !s->dirty)
			pthread_cond_wait(&s->wake, &s->lock);
		/* Gather what else comes: the more there is to write, the longer, so that a batch
		 * of thousands of rules is not written out all the while that it lasts. A disk that
		 * is full is asked again each second. */
		wait_ns = took_ns * REST > wait_ns ? took_ns * REST : wait_ns;
		wait_ns = s->error || wait_ns > 999000000 ? 999000000 : wait_ns;
		clock_gettime(CLOCK_MONOTONIC, &until);
		wait_ns += (uint64_t)until.tv_nsec;
		until.tv_sec += (time_t)(wait_ns / 1000000000);
		until.tv_nsec = (long)(wait_ns % 1000000000);
		while (!s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0)
			;
		pthread_mutex_unlock(&s->lock);
		began = cpu_ns();
		if (!s->stop)
			state_flush(s, atomic_load(&s->dirty));
		took_ns = cpu_ns() - began;
	}
	return NULL;
}

int state_start(struct state *s)
{
	if (pthread_create(&s->thread, NULL, writer, s) != 0)
		return -EAGAIN;
	s->running = true;
	return 0;
}

void state_dirty(struct state *s, unsigned int what)
{
	if (!s || (atomic_fetch_or(&s->dirty, what) & what) == what)
		return;
	pthread_mutex_lock(&s->lock);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

const char *state_aside(const struct state *s)
{
	return s ? s->aside : "";
}

int state_error(struct state *s)
{
	return s ? s->error : 0;
}

void state_close(struct state *s, bool clean)
{
	if (!s)
		return;
	if (s->running) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->wake);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
		save(s, atomic_exchange(&s->dirty, 0) | STATE_RULES, clean);
	}
	close(s->dir);
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->saving);
	pthread_cond_destroy(&s->wake);
	free(s);
}
