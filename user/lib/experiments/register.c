// SPDX-License-Identifier: GPL-2.0-only
/* What runs is in memory, what has ended is an index of a directory. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/clock.h"
#include "lib/experiments/register.h"
#include "lib/experiments/told.h"

#define NS_S 1000000000ull

struct one {
	char id[EXPREG_ID + 1];
	json_t *told;
	uint64_t until_ns; /* CLOCK_MONOTONIC: lost then. 0: it has ended */
	char stop[96];	   /* who wants that */
	size_t bytes;	   /* of its files */
};

struct expreg {
	pthread_mutex_t lock; /* of all below, and of the files */
	int dir;
	expreg_fn *fn;
	void *arg;
	struct one running[EXPREG_RUNNING], ended[EXPREG_KEPT]; /* ended: the oldest first */
	unsigned nrunning, nended;
};

static void tell(struct expreg *g, const char *action, const char *id, json_t *experiment)
{
	if (g->fn)
		g->fn(g->arg, action, id, experiment);
	json_decref(experiment);
}

/* As it is told to others. New reference. */
static json_t *shown(const struct one *o)
{
	json_t *j = json_copy(o->told);

	json_object_set_new(j, "id", json_string(o->id));
	if (o->until_ns)
		json_object_set_new(j, "stopping", json_boolean(*o->stop));
	return j;
}

static struct one *find(struct one *list, unsigned n, const char *id)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(list[i].id, id))
			return &list[i];
	return NULL;
}

static void take_out(struct one *list, unsigned *n, struct one *o)
{
	json_decref(o->told);
	(*n)--;
	memmove(o, o + 1, (size_t)(list + *n - o) * sizeof(*o));
}

/* --- files ------------------------------------------------------------------------------ */

static void name_of(const char *id, const char *suffix, char buf[EXPREG_ID + 16])
{
	snprintf(buf, EXPREG_ID + 16, "%s%s", id, suffix);
}

/* Whole, and on the disk before it has its name. */
static int write_file(struct expreg *g, const char *id, const char *suffix, const char *data,
		      size_t len)
{
	char name[EXPREG_ID + 16];
	int fd = openat(g->dir, ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
			0600),
	    rc = fd < 0 ? -errno : 0;

	for (size_t at = 0; !rc && at < len;) {
		ssize_t n = write(fd, data + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			rc = n ? -errno : -EIO;
		at += n > 0 ? (size_t)n : 0;
	}
	if (!rc && fdatasync(fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	name_of(id, suffix, name);
	if (!rc && renameat(g->dir, ".new", g->dir, name))
		rc = -errno;
	if (rc)
		unlinkat(g->dir, ".new", 0);
	return rc;
}

static void remove_files(struct expreg *g, const char *id)
{
	char name[EXPREG_ID + 16];

	name_of(id, ".json", name);
	unlinkat(g->dir, name, 0);
	name_of(id, ".html", name);
	unlinkat(g->dir, name, 0);
}

/* 0 bytes: there is none. */
static size_t size_of(struct expreg *g, const char *id, const char *suffix)
{
	char name[EXPREG_ID + 16];
	struct stat st;

	name_of(id, suffix, name);
	return fstatat(g->dir, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode)
		       ? 0
		       : (size_t)st.st_size;
}

static int read_file(struct expreg *g, const char *id, const char *suffix, size_t most, char **ret,
		     size_t *ret_len)
{
	char name[EXPREG_ID + 16], *buf;
	struct stat st;
	ssize_t n;
	int fd, rc = 0;

	name_of(id, suffix, name);
	fd = openat(g->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (size_t)st.st_size > most) {
		close(fd);
		return -EINVAL;
	}
	buf = malloc((size_t)st.st_size + 1);
	n = buf ? read(fd, buf, (size_t)st.st_size) : -1;
	if (n != st.st_size)
		rc = buf ? -EIO : -ENOMEM;
	close(fd);
	if (rc) {
		free(buf);
		return rc;
	}
	buf[n] = 0;
	*ret = buf;
	*ret_len = (size_t)n;
	return 0;
}

/* The oldest go until what is left keeps the bounds. */
static void trim(struct expreg *g, unsigned room)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < g->nended; i++)
		bytes += g->ended[i].bytes;
	while (g->nended && (g->nended + room > EXPREG_KEPT || bytes > EXPREG_BYTES)) {
		bytes -= g->ended[0].bytes;
		remove_files(g, g->ended[0].id);
		take_out(g->ended, &g->nended, &g->ended[0]);
	}
}

static double ended_ms(const struct one *o)
{
	return json_number_value(json_object_get(o->told, "ended_ms"));
}

/* In its place by the time of its end; the oldest first. */
static void add_ended(struct expreg *g, struct one *o)
{
	unsigned at = g->nended;

	while (at && ended_ms(&g->ended[at - 1]) > ended_ms(o))
		at--;
	memmove(&g->ended[at + 1], &g->ended[at], (g->nended - at) * sizeof(*o));
	g->ended[at] = *o;
	g->nended++;
}

static void load_one(struct expreg *g, const char *id)
{
	struct sq_error why;
	struct one o = {.told = NULL};
	char *text;
	size_t len;
	json_t *plain = NULL;

	if (exp_told_id(id, &why) || read_file(g, id, ".json", EXPREG_TOLD + 1024, &text, &len))
		return;
	o.told = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	plain = json_copy(o.told);
	json_object_del(plain, "ended_ms");
	json_object_del(plain, "report");
	if (!o.told || exp_told_check(plain, &why) || !json_object_get(plain, "verdict")) {
		remove_files(g, id);
		json_decref(o.told);
	} else {
		snprintf(o.id, sizeof(o.id), "%s", id);
		o.bytes = len + size_of(g, id, ".html");
		trim(g, 1);
		add_ended(g, &o);
	}
	json_decref(plain);
}

/* What is no report of ours stays; of ours, a page without its verdict was cut short. */
static void load(struct expreg *g)
{
	int fd = dup(g->dir);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct sq_error why;
	struct dirent *e;

	unlinkat(g->dir, ".new", 0);
	while (d && (e = readdir(d))) {
		size_t n = strlen(e->d_name);
		char id[EXPREG_ID + 1];

		if (n < 6 || n > EXPREG_ID + 5)
			continue;
		snprintf(id, sizeof(id), "%.*s", (int)(n - 5), e->d_name);
		if (!strcmp(e->d_name + n - 5, ".json"))
			load_one(g, id);
		else if (!strcmp(e->d_name + n - 5, ".html") && !exp_told_id(id, &why) &&
			 !size_of(g, id, ".json"))
			unlinkat(g->dir, e->d_name, 0);
	}
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	trim(g, 0);
}

int expreg_open(const char *dir, expreg_fn *fn, void *arg, struct expreg **ret)
{
	struct expreg *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	if (mkdir(dir, 0700) && errno != EEXIST) {
		rc = -errno;
		free(g);
		return rc;
	}
	g->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (g->dir < 0) {
		rc = -errno;
		free(g);
		return rc;
	}
	pthread_mutex_init(&g->lock, NULL);
	g->fn = fn;
	g->arg = arg;
	load(g);
	*ret = g;
	return 0;
}

void expreg_free(struct expreg *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < g->nrunning; i++)
		json_decref(g->running[i].told);
	for (unsigned i = 0; i < g->nended; i++)
		json_decref(g->ended[i].told);
	close(g->dir);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* --- what is said ----------------------------------------------------------------------- */

static int check(const char *id, const json_t *told, struct sq_error *err)
{
	int rc = exp_told_id(id, err);

	if (!rc)
		rc = exp_told_check(told, err);
	if (!rc && json_dumpb(told, NULL, 0, JSON_COMPACT) > EXPREG_TOLD)
		rc = sq_error_set(err, -E2BIG, "body", "at most %u bytes are accepted",
				  EXPREG_TOLD);
	return rc;
}

/* It has ended: into the directory, and out of what runs. The lock is held. */
static int end(struct expreg *g, struct one *o, struct sq_error *err)
{
	struct one e = *o;
	size_t html = size_of(g, o->id, ".html");
	char *text;
	int rc;

	e.told = json_copy(o->told);
	json_object_set_new(e.told, "ended_ms", json_integer((json_int_t)sq_real_ms()));
	json_object_set_new(e.told, "report", json_boolean(html));
	text = json_dumps(e.told, JSON_COMPACT);
	e.bytes = html + (text ? strlen(text) : 0);
	e.until_ns = 0;
	trim(g, 1);
	rc = text ? write_file(g, o->id, ".json", text, strlen(text)) : -ENOMEM;
	free(text);
	if (rc) {
		json_decref(e.told);
		return sq_error_set(err, rc, NULL, "the report cannot be kept: %s", strerror(-rc));
	}
	add_ended(g, &e);
	take_out(g->running, &g->nrunning, o);
	trim(g, 0);
	return 0;
}

int expreg_put(struct expreg *g, const char *id, const json_t *told, char *ret_stop, size_t cap,
	       struct sq_error *err)
{
	const char *action = NULL;
	json_t *now = NULL;
	struct one *o;
	int rc = check(id, told, err);

	snprintf(ret_stop, cap, "%s", "");
	if (rc)
		return rc;
	pthread_mutex_lock(&g->lock);
	o = find(g->running, g->nrunning, id);
	if (!o && find(g->ended, g->nended, id)) {
		rc = sq_error_set(err, -EBUSY, "experiment", "this one has ended");
	} else if (!o && g->nrunning == EXPREG_RUNNING) {
		rc = sq_error_set(err, -EBUSY, "experiment", "%d run already", EXPREG_RUNNING);
	} else {
		if (!o) {
			o = &g->running[g->nrunning++];
			memset(o, 0, sizeof(*o));
			snprintf(o->id, sizeof(o->id), "%s", id);
			action = "started";
		}
		json_decref(o->told);
		o->told = json_deep_copy(told);
		o->until_ns = sq_mono_ns() +
			      (uint64_t)json_integer_value(json_object_get(told, "ttl_s")) * NS_S;
		snprintf(ret_stop, cap, "%s", o->stop);
		now = shown(o);
		if (json_object_get(told, "verdict")) {
			action = "finished";
			rc = end(g, o, err);
			now = rc ? now : (json_decref(now), shown(find(g->ended, g->nended, id)));
		}
	}
	pthread_mutex_unlock(&g->lock);
	if (now && !rc)
		tell(g, action, id, now);
	else
		json_decref(now);
	return rc;
}

int expreg_put_report(struct expreg *g, const char *id, const json_t *body, struct sq_error *err)
{
	const json_t *html = json_object_get(body, "html");
	int rc = exp_told_id(id, err);

	if (rc)
		return rc;
	if (json_object_size(body) != 1 || !json_is_string(html) || !json_string_length(html))
		return sq_error_set(err, -EINVAL, "body", "{\"html\": TEXT} is accepted");
	if (json_string_length(html) > EXPREG_HTML)
		return sq_error_set(err, -E2BIG, "html", "at most %u bytes are accepted",
				    EXPREG_HTML);
	pthread_mutex_lock(&g->lock);
	if (!find(g->running, g->nrunning, id))
		rc = sq_error_set(err, -ENOENT, "experiment", "no such experiment runs");
	else
		rc = write_file(g, id, ".html", json_string_value(html), json_string_length(html));
	pthread_mutex_unlock(&g->lock);
	if (rc && rc != -ENOENT)
		sq_error_set(err, rc, NULL, "the report cannot be kept: %s", strerror(-rc));
	return rc;
}

void expreg_tick(struct expreg *g)
{
	uint64_t now = sq_mono_ns();
	struct one gone;
	bool any;

	do {
		any = false;
		pthread_mutex_lock(&g->lock);
		for (unsigned i = 0; i < g->nrunning && !any; i++) {
			if (g->running[i].until_ns > now)
				continue;
			gone = g->running[i];
			json_incref(gone.told);
			/* Its page came, its verdict did not. */
			remove_files(g, gone.id);
			take_out(g->running, &g->nrunning, &g->running[i]);
			any = true;
		}
		pthread_mutex_unlock(&g->lock);
		if (any)
			tell(g, "lost", gone.id, gone.told);
	} while (any);
}

/* --- what is asked ---------------------------------------------------------------------- */

json_t *expreg_list(struct expreg *g)
{
	json_t *running = json_array(), *ended = json_array();

	pthread_mutex_lock(&g->lock);
	for (unsigned i = g->nrunning; i-- > 0;)
		json_array_append_new(running, shown(&g->running[i]));
	for (unsigned i = g->nended; i-- > 0;)
		json_array_append_new(ended, shown(&g->ended[i]));
	pthread_mutex_unlock(&g->lock);
	return json_pack("{s:o,s:o}", "running", running, "finished", ended);
}

json_t *expreg_get(struct expreg *g, const char *id)
{
	json_t *ret;
	struct one *o;

	pthread_mutex_lock(&g->lock);
	o = find(g->running, g->nrunning, id);
	o = o ? o : find(g->ended, g->nended, id);
	ret = o ? shown(o) : NULL;
	pthread_mutex_unlock(&g->lock);
	return ret;
}

static int none(struct sq_error *err)
{
	return sq_error_set(err, -ENOENT, "experiment",
			    "there is none of that id; GET /api/v1/experiments lists them");
}

int expreg_html(struct expreg *g, const char *id, char **ret, size_t *ret_len, struct sq_error *err)
{
	int rc = -ENOENT;

	pthread_mutex_lock(&g->lock);
	if (find(g->ended, g->nended, id))
		rc = read_file(g, id, ".html", EXPREG_HTML, ret, ret_len);
	pthread_mutex_unlock(&g->lock);
	if (rc == -ENOENT)
		return sq_error_set(err, rc, "experiment", "there is no report of that id");
	return rc ? sq_error_set(err, rc, NULL, "the report cannot be read: %s", strerror(-rc)) : 0;
}

unsigned expreg_stop(struct expreg *g, const char *id, const char *who)
{
	json_t *asked[EXPREG_RUNNING];
	unsigned n = 0;

	pthread_mutex_lock(&g->lock);
	for (unsigned i = 0; i < g->nrunning; i++) {
		struct one *o = &g->running[i];

		if (id && strcmp(id, o->id))
			continue;
		snprintf(o->stop, sizeof(o->stop), "%s", who);
		asked[n++] = shown(o);
	}
	pthread_mutex_unlock(&g->lock);
	for (unsigned i = 0; i < n; i++) {
		const char *name = json_string_value(json_object_get(asked[i], "id"));
		char copy[EXPREG_ID + 1];

		snprintf(copy, sizeof(copy), "%s", name);
		tell(g, "stopping", copy, asked[i]);
	}
	return n;
}

int expreg_delete(struct expreg *g, const char *id, struct sq_error *err)
{
	struct one *o;
	int rc = 0;

	pthread_mutex_lock(&g->lock);
	o = find(g->ended, g->nended, id);
	if (find(g->running, g->nrunning, id)) {
		rc = sq_error_set(err, -EBUSY, "experiment", "it runs: stop it first");
	} else if (!o) {
		rc = none(err);
	} else {
		remove_files(g, id);
		take_out(g->ended, &g->nended, o);
	}
	pthread_mutex_unlock(&g->lock);
	if (!rc)
		tell(g, "deleted", id, NULL);
	return rc;
}
