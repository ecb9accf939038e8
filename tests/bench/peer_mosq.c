// libs: -lmosquitto
// SPDX-License-Identifier: GPL-2.0-only
/*
 * peer_mosq: libmosquitto driven from one epoll, the way its manual describes
 * for an external event loop, as a peer in the simulator's bench.
 *
 *   peer_mosq ADDR PORT CONNS QOS SIZE SECONDS
 *
 * Every connection publishes its next message as soon as the last one is done
 * (QoS 0: handed to the socket; QoS 1: PUBACK read), as the other senders do.
 */
#include <errno.h>
#include <mosquitto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

struct dev {
	struct mosquitto *m;
	char topic[64];
	uint32_t acked;
	int up;
};

static char payload[65536];
static int connected;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void on_connect(struct mosquitto *m, void *obj, int rc)
{
	struct dev *d = obj;

	(void)m;
	if (rc) {
		fprintf(stderr, "peer_mosq: refused: %d\n", rc);
		exit(1);
	}
	d->up = 1;
	connected++;
}

static void on_publish(struct mosquitto *m, void *obj, int mid)
{
	struct dev *d = obj;

	(void)m;
	(void)mid;
	d->acked++;
}

static void serve(struct dev *d, uint32_t events)
{
	int rc = MOSQ_ERR_SUCCESS;

	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		rc = mosquitto_loop_read(d->m, 1);
	if (rc == MOSQ_ERR_SUCCESS && events & EPOLLOUT)
		rc = mosquitto_loop_write(d->m, 1);
	if (rc != MOSQ_ERR_SUCCESS) {
		fprintf(stderr, "peer_mosq: %s\n", mosquitto_strerror(rc));
		exit(1);
	}
}

static void publish(struct dev *d, int qos, int size)
{
	int rc = mosquitto_publish(d->m, NULL, d->topic, size, payload, qos, false);

	if (rc) {
		fprintf(stderr, "peer_mosq: publish: %s\n", mosquitto_strerror(rc));
		exit(1);
	}
	/* The library may have queued it: write now, or the next round never ends. */
	if (mosquitto_want_write(d->m))
		mosquitto_loop_write(d->m, 1);
}

int main(int argc, char **argv)
{
	struct epoll_event evs[256], ev;
	struct rlimit rl;
	struct dev *devs;
	int n, qos, size, ep = epoll_create1(0);
	uint64_t end, misc;

	if (argc != 7) {
		fprintf(stderr, "usage: peer_mosq ADDR PORT CONNS QOS SIZE SECONDS\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	n = atoi(argv[3]);
	qos = atoi(argv[4]);
	size = atoi(argv[5]);
	memset(payload, 'x', sizeof(payload));
	mosquitto_lib_init();
	devs = calloc(n, sizeof(*devs));
	for (int i = 0; i < n; i++) {
		struct dev *d = &devs[i];
		char id[32];

		snprintf(id, sizeof(id), "thing-%06d", i);
		snprintf(d->topic, sizeof(d->topic), "dt/thing-%06d/telemetry", i);
		d->m = mosquitto_new(id, true, d);
		mosquitto_int_option(d->m, MOSQ_OPT_TCP_NODELAY, 1);
		mosquitto_connect_callback_set(d->m, on_connect);
		if (qos)
			mosquitto_publish_callback_set(d->m, on_publish);
		if (mosquitto_connect(d->m, argv[1], atoi(argv[2]), 60)) {
			fprintf(stderr, "peer_mosq: connection %d: %s\n", i, strerror(errno));
			return 1;
		}
		ev = (struct epoll_event){.events = EPOLLIN, .data.ptr = d};
		epoll_ctl(ep, EPOLL_CTL_ADD, mosquitto_socket(d->m), &ev);
	}
	end = now_ns() + strtod(argv[6], NULL) * 1e9;
	while (connected < n && now_ns() < end) {
		int m = epoll_wait(ep, evs, 256, 100);

		for (int j = 0; j < m; j++)
			serve(evs[j].data.ptr, evs[j].events);
	}
	misc = now_ns() + 1000000000;
	for (int i = 0; qos && i < n; i++)
		publish(&devs[i], qos, size);
	while (now_ns() < end) {
		if (!qos)
			for (int i = 0; i < n; i++)
				publish(&devs[i], 0, size);
		if (qos) {
			int m = epoll_wait(ep, evs, 256, 1000);

			for (int j = 0; j < m; j++) {
				struct dev *d = evs[j].data.ptr;

				serve(d, evs[j].events);
				for (; d->acked; d->acked--)
					publish(d, qos, size);
			}
		}
		if (now_ns() > misc) {
			for (int i = 0; i < n; i++)
				mosquitto_loop_misc(devs[i].m);
			misc = now_ns() + 1000000000;
		}
	}
	return 0;
}
