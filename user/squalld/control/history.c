// SPDX-License-Identifier: GPL-2.0-only
/*
 * Two files and an index. Lines are made under the lock into a buffer, which
 * whoever syncs first writes for all; queries read lines back by their place.
 */
#include "squalld/control/history.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "lib/clock.h"
#include "squalld/base/json.h"
#include "squalld/base/log.h"

#define MAX_EVENTS 100000u
#define MAX_BYTES  (64u << 20)
#define LINE_BYTES 65536
#define DELAY_MS   100
#define CHUNK	   256 /* lines read at once */
#define MAX_ID	   (1ull << 53)

struct place {
	uint64_t id, time_ms, off;
	uint32_t len, type, action, target; /* hashes of what the line says */
	uint8_t file;			    /* 0: the older one */
};

struct history {
	pthread_mutex_t lock;	 /* of everything below but dir */
	pthread_mutex_t writing; /* one at a time; taken before lock */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop;
	int dir, fd[2]; /* history.1.jsonl, history.jsonl */
	struct place *at;
	size_t n, room;
	unsigned int in_new; /* events of the newer file */
	uint64_t off, next_id;
	char *buf; /* not written yet */
	size_t used, size;
	bool unsynced;
	atomic_int error;
	bool aside; /* a file of it was no file, or too big: set aside at the start */
};

static const char *const names[2] = {"history.1.jsonl", "history.jsonl"};
static _Thread_local char whose[96];

void history_by(const char *who)
{
	snprintf(whose, sizeof(whose), "%s", who ? who : "");
}

static uint32_t hash(const char *s, size_t n)
{
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ (unsigned char)*s++) * 16777619u;
	return h;
}

/* Of a value, as it stands in a line of ours; the key with its quotes and colon. */
static uint32_t hash_at(const char *line, const char *key)
{
	const char *p = strstr(line, key), *q;

	if (!p)
		return 0;
	p += strlen(key) + 1;
	for (q = p; *q && *q != '"'; q++)
		if (*q == '\\' && q[1])
			q++;
	return hash(p, (size_t)(q - p));
}

static bool note(struct history *h, const char *line, size_t len, uint64_t off, int file)
{
	struct place p = {.off = off, .len = (uint32_t)len, .file = (uint8_t)file};
	unsigned long long id, time_ms;

	if (sscanf(line, "{\"id\":%llu,\"time_ms\":%llu,", &id, &time_ms) != 2 || id > MAX_ID ||
	    (h->n && id <= h->at[h->n - 1].id))
		return false; /* queries search by the id: it has to grow */
	if (h->n == h->room) {
		/* All of it at once: a page that was never touched costs nothing, and growing by
		 * copies left 3 MB of holes for 4 MB of index. */
		size_t room = h->room ? h->room * 2 : 2 * MAX_EVENTS;
		struct place *grown = reallocarray(h->at, room, sizeof(*grown));

		if (!grown)
			return false;
		h->at = grown;
		h->room = room;
	}
	p.id = id;
	p.time_ms = time_ms;
	p.type = hash_at(line, "\"type\":");
	p.action = hash_at(line, "\"action\":");
	p.target = hash_at(line, "\"target\":");
	h->at[h->n++] = p;
	if (id >= h->next_id)
		h->next_id = id + 1;
	h->in_new += file;
	return true;
}

static void load(struct history *h, int file)
{
	int fd = dup(h->fd[file]);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *line = NULL;
	size_t room = 0, torn = 0;
	uint64_t off = 0;
	bool ends = true;
	ssize_t n;

	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	rewind(f);
	while ((n = getline(&line, &room, f)) > 0) {
		ends = line[n - 1] == '\n';
		if (!ends || n < 2 || n > LINE_BYTES || line[n - 2] != '}' ||
		    !note(h, line, (size_t)n - 1, off, file))
			torn++;
		off += (uint64_t)n;
	}
	free(line);
	fclose(f);
	if (torn)
		log_warn("history: %zu torn lines of %s are left out", torn, names[file]);
	if (file == 1) {
		/* What comes next must not become part of a torn line. */
		if (!ends && write(h->fd[1], "\n", 1) == 1)
			off++;
		h->off = off;
	}
}

/* Like a state file that is not as it should be: starting without it. */
static int set_aside(struct history *h, int file)
{
	char to[64];

	snprintf(to, sizeof(to), "%s.bad-%lld", names[file], (long long)time(NULL));
	log_warn("history: %s is no file of a sane size: set aside as %s", names[file], to);
	h->aside = true;
	return renameat(h->dir, names[file], h->dir, to) < 0 ? -errno : 0;
}

static int open_file(struct history *h, int file)
{
	struct stat st;
	int fd = openat(h->dir, names[file],
			O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	h->fd[file] = fd;
	return 0;
}

/* One more buffer than is rotated at is the most that is ever written; a line may then be read
 * into memory whole. */
static bool sane(struct history *h, int file)
{
	struct stat st;

	return fstatat(h->dir, names[file], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	       (S_ISREG(st.st_mode) && st.st_size <= 2 * (off_t)MAX_BYTES);
}

int history_open(const char *state_dir, struct history **ret)
{
	struct history *h = calloc(1, sizeof(*h));
	pthread_condattr_t attr;
	int rc = h ? 0 : -ENOMEM;

	if (rc < 0)
		return rc;
	h->fd[0] = h->fd[1] = -1;
	h->next_id = 1;
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->writing, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->wake, &attr);
	pthread_condattr_destroy(&attr);
	h->dir = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = h->dir < 0 ? -errno : 0;
	for (int file = 0; rc == 0 && file < 2; file++) {
		rc = sane(h, file) ? 0 : set_aside(h, file);
		if (rc == 0)
			rc = open_file(h, file);
	}
	if (rc < 0) {
		history_close(h);
		return rc;
	}
	load(h, 0);
	load(h, 1);
	*ret = h;
	return 0;
}

/* The newer file is full: it becomes the older one, which is forgotten. lock and writing held. */
static int rotate(struct history *h)
{
	size_t keep = h->in_new;

	if (renameat(h->dir, names[1], h->dir, names[0]) < 0)
		return -errno;
	close(h->fd[0]);
	h->fd[0] = h->fd[1];
	h->fd[1] = -1;
	memmove(h->at, h->at + (h->n - keep), keep * sizeof(*h->at));
	h->n = keep;
	for (size_t i = 0; i < keep; i++)
		h->at[i].file = 0;
	h->in_new = 0;
	h->off = 0;
	return open_file(h, 1);
}

static void complain(struct history *h, int rc)
{
	int before = atomic_exchange(&h->error, rc);

	if (rc && rc != before)
		log_error("history: cannot be written: %s", strerror(-rc));
	else if (!rc && before)
		log_info("history: can be written again");
}

/* All lines of the buffer, whole. writing held, lock not. */
static int write_lines(int fd, const char *buf, size_t len)
{
	off_t end = lseek(fd, 0, SEEK_END);

	for (size_t done = 0; done < len;) {
		ssize_t n = write(fd, buf + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int rc = n < 0 ? -errno : -EIO;

			/* A disk that is full takes a part: half a line must not stay. */
			if (end < 0 || ftruncate(fd, end) < 0)
				log_debug("history: a torn line stays");
			return rc;
		}
		done += (size_t)n;
	}
	return 0;
}

int history_sync(struct history *h)
{
	char *buf;
	size_t used;
	int rc = 0;

	if (!h)
		return 0;
	pthread_mutex_lock(&h->writing);
	pthread_mutex_lock(&h->lock);
	buf = h->buf;
	used = h->used;
	h->buf = NULL;
	h->used = h->size = 0;
	pthread_mutex_unlock(&h->lock);
	if (used) {
		rc = write_lines(h->fd[1], buf, used);
		pthread_mutex_lock(&h->lock);
		for (char *line = buf, *end; rc == 0 && line < buf + used; line = end + 1) {
			end = memchr(line, '\n', (size_t)(buf + used - line));
			*end = 0;
			note(h, line, (size_t)(end - line), h->off, 1);
			h->off += (uint64_t)(end - line) + 1;
		}
		h->unsynced = true;
		if (rc == 0 && (h->in_new >= MAX_EVENTS || h->off >= MAX_BYTES)) {
			fdatasync(h->fd[1]);
			rc = rotate(h);
		}
		pthread_cond_signal(&h->wake);
		pthread_mutex_unlock(&h->lock);
		complain(h, rc);
	}
	free(buf);
	pthread_mutex_unlock(&h->writing);
	return rc;
}

static void append(struct history *h, const char *line, size_t len)
{
	if (h->used + len + 1 > h->size) {
		size_t size = (h->size ? h->size * 2 : 4096) + len;
		char *grown = size < MAX_BYTES ? realloc(h->buf, size) : NULL;

		if (!grown)
			return; /* the disk is full, for long */
		h->buf = grown;
		h->size = size;
	}
	memcpy(h->buf + h->used, line, len);
	h->buf[h->used + len] = '\n';
	h->used += len + 1;
}

static char *quoted(const char *text)
{
	json_t *value = json_text(text);
	char *q = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

	json_decref(value);
	return q;
}

void history_add(struct history *h, const char *type, const char *action, const char *target,
		 json_t *more)
{
	char *who = h ? quoted(whose[0] ? whose : "squalld") : NULL,
	     *name = h && target ? quoted(target) : NULL,
	     *rest = h && more ? json_dumps(more, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL, *line;
	bool has_more = rest && strcmp(rest, "{}") != 0;
	int n;

	json_decref(more);
	if (h && who && !target == !name) {
		pthread_mutex_lock(&h->lock);
		/* In this order: note() reads it. */
		n = asprintf(&line,
			     "{\"id\":%llu,\"time_ms\":%llu,\"type\":\"%s\",\"action\":\"%s\"%s%s,"
			     "\"who\":%s%s%s",
			     (unsigned long long)h->next_id++, (unsigned long long)sq_real_ms(),
			     type, action, name ? ",\"target\":" : "", name ? name : "", who,
			     has_more ? "," : "}", has_more ? rest + 1 : "");
		if (n > 0 && n < LINE_BYTES)
			append(h, line, (size_t)n);
		if (n >= 0)
			free(line);
		pthread_cond_signal(&h->wake);
		pthread_mutex_unlock(&h->lock);
	}
	free(who);
	free(name);
	free(rest);
}

int history_error(struct history *h)
{
	return h ? atomic_load(&h->error) : 0;
}

bool history_aside(const struct history *h)
{
	return h && h->aside;
}

unsigned int history_count(struct history *h)
{
	size_t n;

	pthread_mutex_lock(&h->lock);
	n = h->n;
	pthread_mutex_unlock(&h->lock);
	return (unsigned int)n;
}

static void *writer(void *arg)
{
	struct history *h = arg;

	pthread_setname_np(pthread_self(), "history");
	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		struct timespec nap = {.tv_nsec = DELAY_MS * 1000000};
		int fd = -1;

		while (!h->stop && !h->used && !h->unsynced)
			pthread_cond_wait(&h->wake, &h->lock);
		pthread_mutex_unlock(&h->lock);
		nanosleep(&nap, NULL); /* gather what else comes */
		history_sync(h);
		pthread_mutex_lock(&h->lock);
		if (h->unsynced && h->fd[1] >= 0)
			fd = dup(h->fd[1]);
		h->unsynced = false;
		pthread_mutex_unlock(&h->lock);
		if (fd >= 0) {
			fdatasync(fd);
			close(fd);
		}
		pthread_mutex_lock(&h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

int history_start(struct history *h)
{
	if (pthread_create(&h->thread, NULL, writer, h) != 0)
		return -EAGAIN;
	h->running = true;
	return 0;
}

void history_close(struct history *h)
{
	if (!h)
		return;
	if (h->running) {
		pthread_mutex_lock(&h->lock);
		h->stop = true;
		pthread_cond_signal(&h->wake);
		pthread_mutex_unlock(&h->lock);
		pthread_join(h->thread, NULL);
	}
	if (h->fd[1] >= 0) {
		history_sync(h);
		fdatasync(h->fd[1]);
	}
	for (int i = 0; i < 2; i++)
		if (h->fd[i] >= 0)
			close(h->fd[i]);
	if (h->dir >= 0)
		close(h->dir);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->writing);
	free(h->at);
	free(h->buf);
	free(h);
}

/* --- asking ---------------------------------------------------------------------------- */

static bool is(const json_t *o, const char *key, const char *want)
{
	const char *have = json_string_value(json_object_get(o, key));

	return !want || (have && strcmp(have, want) == 0);
}

static json_t *read_event(struct history *h, const struct place *p, const struct history_filter *f)
{
	char *line = malloc(p->len);
	json_t *o = NULL;

	if (line && pread(h->fd[p->file], line, p->len, (off_t)p->off) == (ssize_t)p->len)
		o = json_loadb(line, p->len, 0, NULL);
	free(line);
	if (o && is(o, "target", f->target) && is(o, "type", f->type) &&
	    is(o, "action", f->action) && is(o, "who", f->who))
		return o;
	json_decref(o);
	return NULL;
}

static uint32_t hash_of(const char *text)
{
	char *q = text ? quoted(text) : NULL;
	uint32_t h = q ? hash(q + 1, strlen(q) - 2) : 0;

	free(q);
	return h;
}

/* Where the events with an id below this one end. lock held. */
static size_t below(const struct history *h, uint64_t id)
{
	size_t low = 0, high = h->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (h->at[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct hashed {
	uint32_t type, action, target;
};

static bool fits(const struct place *p, const struct history_filter *f, const struct hashed *want)
{
	return (!f->target || p->target == want->target) && (!f->type || p->type == want->type) &&
	       (!f->action || p->action == want->action) &&
	       (!f->since_ms || p->time_ms >= f->since_ms) &&
	       (!f->until_ms || p->time_ms <= f->until_ms);
}

json_t *history_query(struct history *h, const struct history_filter *f, bool *ret_more)
{
	struct hashed want = {hash_of(f->type), hash_of(f->action), hash_of(f->target)};
	uint64_t cursor = f->before ? f->before : UINT64_MAX;
	struct place some[CHUNK];
	json_t *list = json_array(), *one;
	size_t n;

	*ret_more = false;
	history_sync(h);
	do {
		/* In pieces, so that who waits to write waits for one of them at most. */
		pthread_mutex_lock(&h->writing);
		pthread_mutex_lock(&h->lock);
		n = 0;
		for (size_t i = below(h, cursor); i-- > 0 && n < CHUNK;)
			if (fits(&h->at[i], f, &want))
				some[n++] = h->at[i];
		pthread_mutex_unlock(&h->lock);
		for (size_t i = 0; i < n && !*ret_more; i++) {
			one = read_event(h, &some[i], f);
			if (one && json_array_size(list) < f->limit) {
				json_array_append_new(list, one);
			} else if (one) {
				json_decref(one);
				*ret_more = true;
			}
		}
		pthread_mutex_unlock(&h->writing);
		cursor = n ? some[n - 1].id : 0;
	} while (n == CHUNK && !*ret_more);
	return list;
}

/* --- what the bus tells ------------------------------------------------------------------ */

void history_hear(void *arg, const char *type, const json_t *data)
{
	static const char *const keep[] = {"source", "was",  "counters", "lasted_ms", "in_force",
					   "detail", "what", "by",	 NULL};
	const char *action = json_string_value(json_object_get(data, "action")),
		   *target = json_string_value(json_object_get(data, "target"));
	json_t *more, *step;
	const json_t *rule = json_object_get(data, "rule");

	/* Cgroups come and go by the hundred, and say nothing of faults. */
	if (!action || !strcmp(type, "counters") ||
	    (!strcmp(type, "target") && target && !strncmp(target, "cgroup:", 7)))
		return;
	more = json_object();
	json_object_set(more, "rule", json_object_get(rule, "text"));
	step = json_object_get(json_object_get(data, "schedule"), "step");
	if (step && !json_is_null(step))
		json_object_set(more, "step", step);
	for (const char *const *key = keep; *key; key++)
		if (!json_is_null(json_object_get(data, *key)))
			json_object_set(more, *key, json_object_get(data, *key));
	history_add(arg, type, action, target, more);
}
