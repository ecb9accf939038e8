// libs: -Lsqualld
// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whole requests, byte by byte, to squalld's server with all of its API behind it, over the unix
 * socket or over TCP, where the guard stands in between. Whatever is sent: an answer that is HTTP
 * and JSON where it says so; or none, and the next is served.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <curl/curl.h>
#include <jansson.h>
#include "../unit/fake_engine.h"
#include "squalld/api/api.h"
#include "squalld/api/events.h"
#include "squalld/base/log.h"
#include "squalld/control/book.h"
#include "squalld/control/bus.h"
#include "squalld/control/clear.h"
#include "squalld/control/history.h"
#include "squalld/experiments/experiments.h"
#include "squalld/control/profiles.h"
#include "squalld/control/reconcile.h"
#include "squalld/control/schedules.h"
#include "squalld/control/state.h"
#include "squalld/control/targets.h"
#include "squalld/dockertc/dockertc.h"
#include "squalld/ecs/ecs.h"
#include "squalld/http/http.h"
#include "squalld/meter/loud.h"
#include "squalld/meter/meter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char dir[200], path[108];
static struct options opt;
static struct api api = {.opt = &opt, .lock = &lock};
static struct dockertc dockertc;
static struct ecs ecs;
static struct reconcile reconcile;

/* What the kernel side would say. */
json_t *engine_no_ethernet(void)
{
	return json_array();
}

const char *engine_lo_passes(struct engine *engine, uint64_t cgroup_id, bool unless_known)
{
	(void)engine, (void)cgroup_id, (void)unless_known;
	return NULL;
}

const char *engine_late_resets(const struct engine *engine)
{
	(void)engine;
	return "no kernel";
}

bool engine_on_host(struct engine *engine, uint64_t cgroup_id, bool unless_known)
{
	(void)engine, (void)cgroup_id, (void)unless_known;
	return true;
}

bool engine_in_front(struct engine *engine)
{
	(void)engine;
	return false;
}

static void wire(void)
{
	struct schedule_uses uses = {.lock = &lock};
	struct sq_error err;

	if (engine_open(NULL, &api.engine, NULL) || state_open(dir, &lock, &api.state, &err) ||
	    history_open(dir, &api.history) || bus_new(&api.bus) ||
	    targets_new(api.engine, api.bus, &api.targets) ||
	    book_new(api.engine, api.targets, api.bus, api.state, &api.book) ||
	    profiles_new(api.state, &api.profiles) ||
	    meter_new(api.book, api.engine, api.bus, &api.meter) ||
	    loud_new(api.targets, api.bus, "off", &api.loud))
		abort();
	fake_add("/fuzz");
	bus_record(api.bus, history_hear, api.history);
	if (experiments_open(dir, api.bus, api.history, &api.experiments, &err))
		abort();
	uses.targets = api.targets;
	uses.book = api.book;
	uses.profiles = api.profiles;
	uses.bus = api.bus;
	uses.state = api.state;
	if (schedules_new(&uses, &api.schedules) || clear_new(api.book, api.schedules, &api.clear))
		abort();
	/* Nothing is registered to be saved: a disk is no part of this. */
	dockertc = (struct dockertc){dockertc_direction("up"), &lock, api.engine, api.targets,
				     api.book};
	ecs = (struct ecs){&lock, api.targets, api.book, api.state, json_object()};
	api.dockertc = &dockertc;
	api.ecs = &ecs;
	reconcile = (struct reconcile){api.book, api.schedules, dockertc_labels, &dockertc,
				       api.targets};
	targets_listen(api.targets, &reconcile_events, &reconcile);
	if (events_new(&api, &api.events))
		abort();
}

static void begin(void)
{
	static struct httpd_guard *guard;
	const struct httpd_policy policy = {.host_remedy = ""};
	const char *tmp = getenv("TMPDIR");
	struct sq_error err;

	log_setup(LOG_L_ERROR, false);
	signal(SIGPIPE, SIG_IGN);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	snprintf(dir, sizeof(dir), "%s/squall-fuzz-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%.90s/s", dir);
	opt.socket = path;
	opt.socket_group = "nobody's";
	opt.state_dir = dir;
	opt.listen[0] = "127.0.0.1:0";
	opt.n_listen = 1;
	opt.loopback = "open";
	opt.lo = "auto";
	opt.lane = "auto";
	opt.docker_socket[0] = "none";
	opt.pin_dir = "/sys/fs/bpf/squall-fuzz";
	wire();
	if (httpd_guard_new(&policy, &guard, &err) || http_bind(&opt, guard, &api.http, &err) ||
	    http_start(api.http, &api_app, &api, &err))
		abort();
}

static int dial(bool local)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(http_port(api.http)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, path, sizeof(un.sun_path));
	if (fd < 0 || connect(fd, local ? (struct sockaddr *)&un : (struct sockaddr *)&in,
			      local ? sizeof(un) : sizeof(in)))
		abort();
	return fd;
}

/* How long the first answer is, 0 while that is not known: then it ends with the connection. */
static size_t whole(const char *text, size_t n)
{
	const char *body = memmem(text, n, "\r\n\r\n", 4), *length;

	if (!body)
		return 0;
	length = memmem(text, (size_t)(body - text) + 2, "\r\nContent-Length: ", 18);
	return length ? (size_t)(body + 4 - text) + strtoul(length + 18, NULL, 10) : 0;
}

static void check(const char *text, size_t n)
{
	size_t len = whole(text, n), head;
	unsigned int status;
	json_t *o;

	if (!n)
		return;
	if (sscanf(text, "HTTP/1.%*1[01] %3u", &status) != 1 || status == 500)
		abort();
	if (!len || len > n)
		return; /* HEAD, or cut off */
	head = (size_t)((char *)memmem(text, n, "\r\n\r\n", 4) + 4 - text);
	if (len == head || !memmem(text, head, "json\r\n", 6))
		return;
	o = json_loadb(text + head, len - head, 0, NULL);
	if (!o)
		abort();
	json_decref(o);
}

/* More of the answer: false at its end, or after so many ms of silence. */
static bool more(int fd, char *answer, size_t size, size_t *n, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	ssize_t got = 0;

	if (*n < size && poll(&p, 1, ms) > 0)
		got = recv(fd, answer + *n, size - *n, 0);
	if (got > 0)
		*n += (size_t)got;
	return got > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static char answer[1 << 20];
	size_t n = 0;
	int fd;

	pthread_once(&once, begin);
	if (!size)
		return 0;
	fd = dial(data[0] & 1);
	send(fd, data + 1, size - 1, MSG_NOSIGNAL);
	/* What it waits for does not come: it is told so, and not with the request, as the server
	 * hears only of the first of two events that come at once. */
	if (!more(fd, answer, sizeof(answer) - 1, &n, 5)) {
		shutdown(fd, SHUT_WR);
		more(fd, answer, sizeof(answer) - 1, &n, 100);
	}
	while (n && (!whole(answer, n) || whole(answer, n) > n) &&
	       more(fd, answer, sizeof(answer) - 1, &n, 100))
		;
	close(fd);
	answer[n] = 0;
	check(answer, n);
	return 0;
}
