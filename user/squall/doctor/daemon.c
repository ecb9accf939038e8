// SPDX-License-Identifier: GPL-2.0-only
/* squalld and its neighbours: Docker's engine, the API's port, programs in front. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <squall/client.h>
#include "lib/checkup/checkup.h"
#include "squall/doctor/doctor.h"

#define API_PORT      4080
#define DOCKER_SOCKET "/var/run/docker.sock"
#define SQUALLD_FILES 1024 /* 500 interfaces of 100 namespaces, 64 connections, maps and pins */

static const char *text_of(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key)) ?: "";
}

static void health(json_t *list, const json_t *status)
{
	const json_t *h = json_object_get(status, "health"), *reason;
	bool failing = !strcmp(text_of(h, "status"), "failing");
	size_t i;

	json_array_foreach(json_object_get(h, "reasons"), i, reason) checkup_add(
		list, "health", failing ? CHECKUP_BAD : CHECKUP_NOTE,
		failing ? "journalctl -u squalld has more; a restart adopts the rules" : NULL,
		"%s: %s", text_of(h, "status"), json_string_value(reason) ?: "");
	if (!i)
		checkup_add(list, "health", CHECKUP_OK, NULL, "%s", text_of(h, "status"));
}

static void in_front(json_t *list, const json_t *status)
{
	const json_t *one, *who;
	size_t i, k, n = 0;

	json_array_foreach(json_object_get(status, "attachments"), i, one)
		json_array_foreach(json_object_get(one, "in_front"), k, who) if (++n <= 5)
			checkup_add(list, "in front", CHECKUP_NOTE,
				    "what it ends or redirects is not faulted: detach it, "
				    "or a kernel of 6.6 or newer lets squalld run first",
				    "%s runs before squalld", json_string_value(who) ?: "?");
	if (n > 5)
		checkup_add(list, "in front", CHECKUP_NOTE, "squall status shows all",
			    "and %zu more", n - 5);
	if (!n)
		checkup_add(list, "in front", CHECKUP_OK, NULL,
			    "squalld is attached to %zu interfaces, nobody runs before it", i);
}

static bool member(gid_t gid)
{
	gid_t groups[256];
	int n = getgroups(256, groups);

	while (n > 0)
		if (groups[--n] == gid)
			return true;
	return getegid() == gid;
}

/* Why the unix socket does not answer, by what lies there. */
static void unreached(json_t *list, const struct sq_error *err, const char *path)
{
	char remedy[160] = "systemctl enable --now squalld; without systemd, as root: squalld";
	struct stat st;
	struct group *g;

	if (path && !stat(path, &st) && geteuid() && !member(st.st_gid) && access(path, W_OK)) {
		g = getgrgid(st.st_gid);
		snprintf(remedy, sizeof(remedy),
			 "usermod -aG %s $USER, and log in again; or ask as root",
			 g ? g->gr_name : "squall");
	} else if (!path) {
		snprintf(remedy, sizeof(remedy),
			 "is squalld there, with --listen and --token-file? There, as root: squall "
			 "doctor");
	}
	/* Not started yet is no illness: this is asked before the first start, too. */
	checkup_add(list, "squalld", path && stat(path, &st) ? CHECKUP_NOTE : CHECKUP_BAD, remedy,
		    "%s", err->text);
}

void doctor_squalld(json_t *list, const json_t *status, const struct sq_error *err,
		    const char *peer)
{
	if (!status) {
		unreached(list, err, strncmp(peer, "unix:", 5) ? NULL : peer + 5);
		return;
	}
	if (strcmp(text_of(status, "version"), SQUALL_VERSION))
		checkup_add(list, "squalld", CHECKUP_NOTE, "install both from one version",
			    "%s at %s, this squall is " SQUALL_VERSION, text_of(status, "version"),
			    peer);
	else
		checkup_add(list, "squalld", CHECKUP_OK, NULL, "%s at %s",
			    text_of(status, "version"), peer);
	health(list, status);
	in_front(list, status);
}

static int engine_answers(const char *path)
{
	static const char get[] = "GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n";
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct timeval second = {.tv_sec = 1};
	char answer[16] = "";
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) ||
	    send(fd, get, sizeof(get) - 1, MSG_NOSIGNAL) < 0 ||
	    recv(fd, answer, sizeof(answer) - 1, MSG_WAITALL) < 0)
		r = -errno;
	close(fd);
	return r ? r : strstr(answer, " 200") ? 0 : -EPROTO;
}

static void engine(json_t *list, const json_t *docker)
{
	int r;

	if (json_is_true(json_object_get(docker, "connected"))) {
		checkup_add(list, "engine", CHECKUP_OK, NULL, "%s at %s",
			    text_of(docker, "version"), text_of(docker, "socket"));
		return;
	}
	if (json_is_false(json_object_get(docker, "enabled"))) {
		checkup_add(list, "engine", CHECKUP_NOTE,
			    "for containers by name: squalld without --docker-socket none",
			    "off (--docker-socket none): targets are cgroups");
		return;
	}
	if (docker) {
		checkup_add(list, "engine", CHECKUP_NOTE,
			    "start it, or name its socket: squalld --docker-socket PATH", "%s: %s",
			    text_of(docker, "socket"), text_of(docker, "error"));
		return;
	}
	r = engine_answers(DOCKER_SOCKET);
	if (!r)
		checkup_add(list, "engine", CHECKUP_OK, NULL, "answers at " DOCKER_SOCKET);
	else
		checkup_add(list, "engine", CHECKUP_NOTE,
			    r == -EACCES ? "ask as root; squalld itself may"
					 : "without an engine targets are cgroups; another one's "
					   "socket: squalld --docker-socket PATH",
			    DOCKER_SOCKET ": %s", strerror(-r));
}

/* The process that holds the lock of the default pin directory; 0: none, or not to be told. */
static int daemon_pid(void)
{
	int fd = open("/run/squall/lock-sys-fs-bpf-squall", O_RDONLY | O_CLOEXEC), pid = 0;
	char text[16] = "";

	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_SH | LOCK_NB) && read(fd, text, sizeof(text) - 1) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}

void doctor_around(json_t *list, const json_t *status)
{
	int pid = daemon_pid(), r;
	const json_t *one;
	size_t i;

	if (json_array_size(json_object_get(json_object_get(status, "docker"), "engines")) > 1)
		json_array_foreach(json_object_get(json_object_get(status, "docker"), "engines"), i,
				   one) engine(list, one);
	else
		engine(list, json_object_get(status, "docker"));
	json_array_foreach(json_object_get(status, "listen"), i, one) checkup_add(
		list, "ports", CHECKUP_OK, NULL, "squalld serves %s", json_string_value(one));
	if (!status) {
		r = checkup_bind("127.0.0.1", API_PORT);
		if (r)
			checkup_add(list, "ports", CHECKUP_BAD,
				    "squalld --listen 127.0.0.1:OTHER, or --listen none; \"ss "
				    "-ltnp\" shows whose it is",
				    "127.0.0.1:%d, where squalld would serve: %s", API_PORT,
				    strerror(-r));
		else
			checkup_add(list, "ports", CHECKUP_OK, NULL,
				    "127.0.0.1:%d is free for squalld", API_PORT);
	}
	checkup_descriptors(list, pid, SQUALLD_FILES, "wanted by squalld");
}
