// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/control/selector.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#define ECS	"com.amazonaws.ecs."
#define COMPOSE "com.docker.compose."
#define SWARM	"com.docker.swarm."

static const char *label(const struct container *c, const char *key)
{
	return json_string_value(json_object_get(c->labels, key));
}

static bool is(const char *have, const char *want)
{
	return have && strcmp(have, want) == 0;
}

/* No escapes: names of cgroups have backslashes of their own. */
static bool glob(const char *pattern, const char *text, int flags)
{
	return text && fnmatch(pattern, text, FNM_NOESCAPE | flags) == 0;
}

static bool by_image(const char *want, const struct target *t)
{
	return glob(want, t->c->image, 0);
}

static bool by_label(const char *want, const struct target *t)
{
	const char *eq = strchr(want, '=');
	char key[SELECTOR_MAX];

	snprintf(key, sizeof(key), "%.*s", (int)(eq - want), want);
	return is(label(t->c, key), eq + 1);
}

static bool by_swarm(const char *want, const struct target *t)
{
	return is(label(t->c, SWARM "service.name"), want);
}

/* SERVICE, or PROJECT/SERVICE where two projects have one of the same name. */
static bool by_compose(const char *want, const struct target *t)
{
	const char *slash = strchr(want, '/'), *project = label(t->c, COMPOSE "project");

	if (!slash)
		return is(label(t->c, COMPOSE "service"), want);
	return is(label(t->c, COMPOSE "service"), slash + 1) && project &&
	       strlen(project) == (size_t)(slash - want) &&
	       memcmp(project, want, (size_t)(slash - want)) == 0;
}

/* A task's pause container holds its network and sends nothing. */
static bool of_task(const struct target *t)
{
	const char *name = label(t->c, ECS "container-name");

	return name && strncmp(name, "~internal~", 10) != 0;
}

static bool by_family(const char *want, const struct target *t)
{
	return of_task(t) && is(label(t->c, ECS "task-definition-family"), want);
}

static bool by_service(const char *want, const struct target *t)
{
	return of_task(t) && is(t->c->ecs_service, want);
}

static bool by_ecs(const char *want, const struct target *t)
{
	return of_task(t) && is(label(t->c, ECS "container-name"), want);
}

static bool by_name(const char *want, const struct target *t)
{
	return glob(want, t->c->name, 0);
}

/* An asterisk means one level: what is below has its own say. */
static bool by_cgroup(const char *want, const struct target *t)
{
	return t->cgroup[0] && glob(want, t->cgroup, FNM_PATHNAME);
}

static const struct kind {
	const char *name, *value;
	bool glob, cgroups;
	bool (*matches)(const char *want, const struct target *t);
} kinds[] = {
	/* The widest first. */
	{"image", "GLOB", true, false, by_image},
	{"label", "KEY=VALUE", false, false, by_label},
	{"swarm", "SERVICE", false, false, by_swarm},
	{"compose", "SERVICE", false, false, by_compose},
	{"ecs-family", "NAME", false, false, by_family},
	{"ecs-service", "NAME", false, false, by_service},
	{"ecs", "CONTAINER", false, false, by_ecs},
	{"name", "GLOB", true, false, by_name},
	{"cgroup", "/PATH/*", true, true, by_cgroup},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *value_of(const struct selector *s)
{
	return s->text + strlen(kinds[s->kind].name) + 1;
}

bool selector_is(const char *text)
{
	if (strncmp(text, "cgroup:", 7) == 0)
		return strpbrk(text + 7, "*?[");
	return strchr(text, ':') && strncmp(text, "ecs-task:", 9) != 0;
}

static int unknown(const char *text, struct sq_error *p)
{
	char list[300] = "";

	for (size_t i = N_KINDS; i-- > 0;)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s:%s",
			 list[0] ? ", " : "", kinds[i].name, kinds[i].value);
	return sq_error_set(
		p, -EINVAL, "target", "there is no kind of selector \"%.*s\"; accepted: %s",
		(int)strcspn(text, ":") > 40 ? 40 : (int)strcspn(text, ":"), text, list);
}

static int check_value(const struct kind *k, const char *value, struct sq_error *p)
{
	if (!*value)
		return sq_error_set(p, -EINVAL, "target", "%s: is empty; %s:%s is expected",
				    k->name, k->name, k->value);
	for (const char *s = value; *s; s++)
		if ((unsigned char)*s < ' ')
			return sq_error_set(p, -EINVAL, "target",
					    "%s: a control character is not accepted", k->name);
	if (k->matches == by_label && (*value == '=' || !strchr(value, '=')))
		return sq_error_set(p, -EINVAL, "target",
				    "label:%.200s is not accepted; label:KEY=VALUE is expected",
				    value);
	if (k->matches == by_cgroup && *value != '/')
		return sq_error_set(p, -EINVAL, "target",
				    "cgroup:%.200s is not accepted; cgroup:/PATH/* is expected",
				    value);
	return 0;
}

int selector_parse(const char *text, struct selector *ret, struct sq_error *p)
{
	size_t len = strcspn(text, ":"), n = 0;
	const struct kind *k = kinds;

	while (k < kinds + N_KINDS && (strlen(k->name) != len || memcmp(k->name, text, len) != 0))
		k++;
	if (k == kinds + N_KINDS || !text[len])
		return unknown(text, p);
	if (strlen(text) >= SELECTOR_MAX)
		return sq_error_set(p, -EINVAL, "target",
				    "a selector of %zu bytes is not accepted: at most %d",
				    strlen(text), SELECTOR_MAX - 1);
	if (check_value(k, text + len + 1, p) < 0)
		return p->code;
	memset(ret, 0, sizeof(*ret));
	ret->kind = (unsigned int)(k - kinds);
	/* One name each: no doubled slashes in a path. */
	for (const char *s = text; *s; s++)
		if (k->matches != by_cgroup || *s != '/' || s[1] != '/')
			ret->text[n++] = *s;
	for (const char *s = value_of(ret); k->glob && *s; s++) {
		ret->wild |= strchr("*?[", *s) != NULL;
		ret->weight += !strchr("*?[]", *s);
	}
	return 0;
}

bool selector_matches(const struct selector *s, const struct target *t)
{
	return (t->c || kinds[s->kind].cgroups) && kinds[s->kind].matches(value_of(s), t);
}

int selector_compare(const struct selector *a, const struct selector *b)
{
	if (a->kind != b->kind)
		return a->kind > b->kind ? 1 : -1;
	if (a->wild != b->wild)
		return a->wild ? -1 : 1;
	return (a->weight > b->weight) - (a->weight < b->weight);
}

bool selector_of_cgroups(const struct selector *s)
{
	return kinds[s->kind].cgroups;
}
