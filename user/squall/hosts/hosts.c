// SPDX-License-Identifier: GPL-2.0-only
#include "squall/hosts/hosts.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "lib/error.h"
#include "squall/hosts/service.h"

static int add(struct host ret[HOSTS_MAX], int n, const char *url, const char *address,
	       struct sq_error *err)
{
	if (n == HOSTS_MAX)
		return sq_error_set(err, -E2BIG, "url", "more than %d hosts", HOSTS_MAX);
	memset(&ret[n], 0, sizeof(ret[n]));
	ret[n].url = url;
	snprintf(ret[n].address, sizeof(ret[n].address), "%s", address);
	snprintf(ret[n].name, sizeof(ret[n].name), "%.400s%s%s%s", url, *address ? " (" : "",
		 address, *address ? ")" : "");
	return n + 1;
}

/* http://NAME:PORT/, http://[::1]:PORT */
static void name_of(const char *url, char *buf, size_t size)
{
	const char *at = strstr(url, "://");
	size_t n;

	at = at ? at + 3 : url;
	n = *at == '[' ? strcspn(++at, "]") : strcspn(at, ":/");
	snprintf(buf, size, "%.*s", (int)n, at);
}

struct addresses {
	const char *url;
	struct host *hosts;
	int n, gai; /* hosts, or -errno; what getaddrinfo() said last */
	struct sq_error *err;
};

static int add_addresses(const char *name, void *arg)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL, *a;
	struct addresses *all = arg;
	char text[64];

	all->gai = getaddrinfo(name, NULL, &hints, &list);
	for (a = all->gai ? NULL : list; a && all->n >= 0; a = a->ai_next)
		if (!getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
				 NI_NUMERICHOST))
			all->n = add(all->hosts, all->n, all->url, text, all->err);
	if (!all->gai)
		freeaddrinfo(list);
	return all->n;
}

static int each_address(const char *url, struct host ret[HOSTS_MAX], int n, struct sq_error *err)
{
	struct addresses all = {.url = url, .hosts = ret, .n = n, .err = err};
	char name[256];
	int why;

	name_of(url, name, sizeof(name));
	add_addresses(name, &all);
	why = all.gai;
	if (why)
		service_hosts(name, add_addresses, &all);
	if (all.n != n)
		return all.n;
	return sq_error_set(err, -ENOENT, "url", "\"%.200s\" has no address: %s", name,
			    why ? gai_strerror(why) : "none of its family");
}

int hosts_of(const char *const *urls, int n_urls, bool all_addresses, struct host ret[HOSTS_MAX],
	     struct sq_error *err)
{
	int n = 0, i;

	for (i = 0; i < n_urls && n >= 0; i++)
		n = all_addresses ? each_address(urls[i], ret, n, err)
				  : add(ret, n, urls[i], "", err);
	return n;
}

static void begin(struct host *h, int (*run)(const struct host *h, void *arg), void *arg)
{
	h->out = tmpfile();
	h->err = tmpfile();
	h->pid = h->out && h->err ? fork() : -1;
	if (h->pid)
		return;
	if (dup2(fileno(h->out), STDOUT_FILENO) < 0 || dup2(fileno(h->err), STDERR_FILENO) < 0)
		_exit(1);
	h->status = run(h, arg);
	fflush(NULL);
	_exit(h->status);
}

static void end(struct host *h)
{
	int status = 0;

	if (h->pid <= 0) {
		h->status = -1;
		return;
	}
	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	h->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	rewind(h->out);
	rewind(h->err);
}

static void copy(FILE *from, FILE *to, const char *before, const char *cut)
{
	char line[4096];
	bool begins = true;

	while (from && fgets(line, sizeof(line), from)) {
		size_t skip = begins && cut && !strncmp(line, cut, strlen(cut)) ? strlen(cut) : 0;

		fprintf(to, "%s%s", begins ? before : "", line + skip);
		begins = strchr(line, '\n');
	}
}

static json_t *json_of(const struct host *h)
{
	json_t *answer = h->out ? json_loadf(h->out, JSON_DECODE_ANY, NULL) : NULL;
	json_t *error = h->err ? json_loadf(h->err, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	json_t *o = json_pack("{s:s, s:i, s:o?, s:O?}", "host", h->name, "exit", h->status,
			      "answer", answer, "error", json_object_get(error, "error"));

	json_decref(error);
	return o;
}

static bool same_refusal(const struct host *hosts, int n)
{
	for (int i = 0; i < n; i++)
		if (hosts[i].status != 2)
			return false;
	return n > 0;
}

static void print(struct host *hosts, int n, bool json, bool pretty)
{
	json_t *list = json_array();
	char before[600];
	int i;

	for (i = 0; i < n && json; i++)
		json_array_append_new(list, json_of(&hosts[i]));
	for (i = 0; i < n && !json; i++) {
		if (!hosts[i].status)
			printf("%s\n", hosts[i].name);
		copy(hosts[i].out, stdout, "  ", NULL);
		fflush(stdout);
		snprintf(before, sizeof(before), "squall: %s: ", hosts[i].name);
		copy(hosts[i].err, stderr, before, "squall: ");
	}
	if (json) {
		list = json_pack("{s:o}", "hosts", list);
		json_dumpf(list, stdout, pretty ? JSON_INDENT(2) : JSON_COMPACT);
		putchar('\n');
	}
	json_decref(list);
}

int hosts_run(struct host *hosts, int n, bool json, bool pretty,
	      int (*run)(const struct host *h, void *arg), void *arg)
{
	int i, failed = 0;

	fflush(NULL); /* what is buffered belongs to this process */
	for (i = 0; i < n; i++)
		begin(&hosts[i], run, arg);
	for (i = 0; i < n; i++)
		end(&hosts[i]);
	if (same_refusal(hosts, n)) {
		copy(hosts[0].err, stderr, "", NULL);
		return 2;
	}
	print(hosts, n, json, pretty);
	for (i = 0; i < n; i++)
		failed += hosts[i].status != 0;
	if (failed && !json) {
		fprintf(stderr, "squall: %d of %d hosts failed:", failed, n);
		for (i = 0; i < n; i++)
			if (hosts[i].status)
				fprintf(stderr, " %s", hosts[i].name);
		fputc('\n', stderr);
	}
	return failed ? 1 : 0;
}
