// libs: -Lsqualld
// SPDX-License-Identifier: GPL-2.0-only
/*
 * The files of the state directory, as a disk or a person may have left them: 'r' rules.json,
 * 'p' profiles.json, 's' schedules.json, 'e' ecs.json, 'h' history.jsonl. What is taken of them is
 * written again, and then all of it is taken.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <jansson.h>
#include "../unit/fake_engine.h"
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/control/history.h"
#include "squalld/control/profiles.h"
#include "squalld/control/schedules.h"
#include "squalld/control/state.h"
#include "squalld/control/targets.h"
#include "squalld/ecs/ecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct engine engine;
static char dir[200], newer[220], older[220];

struct parts {
	struct bus *bus;
	struct targets *targets;
	struct book *book;
	struct profiles *profiles;
	struct schedules *schedules;
	struct ecs ecs;
};

static void open_parts(struct parts *x)
{
	struct schedule_uses uses = {.lock = &lock};

	if (bus_new(&x->bus) || targets_new(&engine, x->bus, &x->targets) ||
	    book_new(&engine, x->targets, x->bus, NULL, &x->book) ||
	    profiles_new(NULL, &x->profiles))
		abort();
	uses.targets = x->targets;
	uses.book = x->book;
	uses.profiles = x->profiles;
	uses.bus = x->bus;
	if (schedules_new(&uses, &x->schedules))
		abort();
	x->ecs = (struct ecs){&lock, x->targets, x->book, NULL, json_object()};
}

static void close_parts(struct parts *x)
{
	json_decref(x->ecs.faults);
	schedules_free(x->schedules);
	profiles_free(x->profiles);
	book_free(x->book);
	targets_free(x->targets);
	bus_free(x->bus);
}

/* As text and read again, as the next start has it. */
static json_t *what_is_written(struct book *book)
{
	char *inner = book_saver.tell(book_saver.take(book, false)), *text = NULL;
	json_t *o = asprintf(&text, "{%s}", inner) < 0 ? NULL : json_loads(text, 0, NULL);

	free(inner);
	free(text);
	return o;
}

/* Takes what the file holds, and returns what would be written. */
static json_t *take(struct parts *x, char what, json_t *saved)
{
	switch (what) {
	case 'p':
		profiles_restore(x->profiles, saved);
		return profiles_save(x->profiles, false);
	case 's':
		schedules_restore(x->schedules, saved);
		return schedules_save(x->schedules, false);
	case 'e':
		json_decref(x->ecs.faults);
		ecs_restore(&x->ecs, saved);
		return ecs_save(&x->ecs, false);
	default:
		book_restore(x->book, saved);
		return what_is_written(x->book);
	}
}

static size_t entries(const json_t *saved, char what)
{
	static const char *const key[] = {"profiles", "schedules", "rules"};
	const json_t *list = json_object_get(saved, key[what == 'p' ? 0 : what == 's' ? 1 : 2]);

	return json_is_array(list) ? json_array_size(list) : json_object_size(list);
}

/* fake_reset() clears thousands. */
static void fake_again(void)
{
	fake_n = 0;
	if (fake_cgroup)
		memset(fake_cgroup, 0, sizeof(*fake_cgroup));
	fake_add("/fuzz");
}

static void one_file(char what, json_t *saved)
{
	struct parts x;
	json_t *first, *second;

	fake_again();
	open_parts(&x);
	first = take(&x, what, saved);
	close_parts(&x);
	if (!json_is_object(first))
		abort();
	fake_again();
	open_parts(&x);
	second = take(&x, what, first);
	/* Rules and schedules end by themselves, between one look and the next. */
	if (what == 'p' && !json_equal(first, second))
		abort();
	if (entries(second, what) > entries(first, what))
		abort();
	json_decref(first);
	json_decref(second);
	close_parts(&x);
}

static void history(const uint8_t *data, size_t size)
{
	struct history_filter some = {.limit = 3, .who = "nobody"}, all = {.limit = 1000};
	struct history *h;
	json_t *list, *one;
	bool more;
	size_t i;
	int fd = open(newer, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	unlink(older);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) || history_open(dir, &h))
		abort();
	json_decref(history_query(h, &some, &more));
	history_add(h, "rule", "set", "fuzz", NULL);
	list = history_query(h, &all, &more);
	one = json_array_get(list, 0);
	/* Whatever was there, what happens next is known. */
	if (strcmp(json_string_value(json_object_get(one, "target")), "fuzz"))
		abort();
	json_array_foreach(list, i, one) if (!json_is_object(one)) abort();
	json_decref(list);
	history_close(h);
}

static void gone(void)
{
	unlink(newer);
	unlink(older);
	rmdir(dir);
}

static void begin(void)
{
	const char *tmp = getenv("TMPDIR");

	log_setup(LOG_L_ERROR, false);
	snprintf(dir, sizeof(dir), "%s/squall-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		abort();
	snprintf(newer, sizeof(newer), "%s/history.jsonl", dir);
	snprintf(older, sizeof(older), "%s/history.1.jsonl", dir);
	atexit(gone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	json_t *saved;

	pthread_once(&once, begin);
	if (!size)
		return 0;
	if (data[0] == 'h') {
		history(data + 1, size - 1);
		return 0;
	}
	saved = json_loadb((const char *)data + 1, size - 1, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(saved))
		one_file((char)data[0], saved);
	json_decref(saved);
	return 0;
}
