// libs: -Lsqualld
// SPDX-License-Identifier: GPL-2.0-only
/* The Docker engine's JSON: one container ('c', then GET /containers/ID/json) or one event ('e'),
 * through to the names that people see. */
#include <stdint.h>
#include <jansson.h>
#include "../unit/fake_engine.h"
#include "squalld/base/log.h"
#include "squalld/control/bus.h"
#include "squalld/control/targets.h"
#include "squalld/discovery/inspect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine engine;

static void on_appeared(void *arg, struct container *c)
{
	(void)arg;
	if (!c->cgroup || !c->cgroup_id)
		abort();
}

static void on_gone(void *arg, const char *name, uint64_t cgroup_id)
{
	(void)arg;
	if (!name[0] || !cgroup_id)
		abort();
}

static void on_renamed(void *arg, const char *from, struct container *c)
{
	(void)arg;
	if (!from[0] || !c->name[0])
		abort();
}

static void on_changed(void *arg, struct container *c)
{
	(void)arg;
	if (!c->name[0])
		abort();
}

static void on_destroyed(void *arg, const char *name)
{
	(void)arg;
	if (!name[0])
		abort();
}

static const struct target_events events = {
	.appeared = on_appeared,
	.gone = on_gone,
	.renamed = on_renamed,
	.changed = on_changed,
	.destroyed = on_destroyed,
};

static int show(const struct target *t, void *arg)
{
	struct sq_error p = {0};
	struct target again;
	json_t *text = json_text(t->name);

	if (!t->name[0] || !json_is_string(text) || !json_string_length(text))
		abort();
	json_decref(text);
	/* A name that is listed is a name that is found, unless two have it or it is an id too. */
	if (target_resolve(arg, t->name, &again, &p) == -ENOENT)
		abort();
	json_decref(p.candidates);
	return 0;
}

static void one_container(const json_t *o)
{
	struct container *c = container_from_inspect(o);
	struct targets *all;
	char id[sizeof(c->id)];
	struct bus *bus;

	if (!c)
		return;
	if (!c->id[0] || !c->name[0] || c->pid < 0 || !c->cgroup != !c->cgroup_id ||
	    (c->cgroup_id && c->why))
		abort();
	memcpy(id, c->id, sizeof(id));
	if (bus_new(&bus) || targets_new(&engine, bus, &all))
		abort();
	targets_listen(all, &events, NULL);
	targets_put(all, c);
	c = container_from_inspect(o);
	if (c)
		targets_put(all, c);
	targets_each(all, false, true, show, all);
	targets_remove(all, id, true);
	targets_free(all);
	bus_free(bus);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *o =
		size ? json_loadb((const char *)data + 1, size - 1, JSON_ALLOW_NUL, NULL) : NULL;
	bool network;
	const char *id;

	log_setup(LOG_L_ERROR, false);
	if (!o)
		return 0;
	if (data[0] != 'e') {
		one_container(o);
	} else {
		container_free(container_from_event(o));
		id = event_container(o, &network);
		if (id && strlen(id) > size)
			abort();
	}
	json_decref(o);
	return 0;
}
