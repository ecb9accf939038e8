// SPDX-License-Identifier: GPL-2.0-only
#include "squalld/flows/put.h"

#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "lib/clock.h"

#define AT_ONCE 64	   /* threads; who comes then waits himself */
#define STACK	(1u << 17) /* bytes */
#define LOOK_NS 50000
/* Before 6.8 a look waits as long as the put does: one that took so long is the last. */
#define LONG_LOOK_NS 2000000

/* Its owner is who is the last of the two to leave. */
struct put {
	int outer_fd, fd;
	uint32_t slot;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t over;
	int res;
	bool done, left;
};

static atomic_int under_way;

static void put_free(struct put *p)
{
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->over);
	close(p->fd);
	free(p);
}

static void *put_main(void *arg)
{
	struct put *p = arg;
	int res = bpf_map_update_elem(p->outer_fd, &p->slot, &p->fd, BPF_ANY);
	bool last;

	atomic_fetch_sub(&under_way, 1);
	pthread_mutex_lock(&p->lock);
	p->res = res;
	p->done = true;
	last = p->left;
	pthread_cond_signal(&p->over);
	pthread_mutex_unlock(&p->lock);
	if (last)
		put_free(p);
	return NULL;
}

static int start(struct put *p)
{
	pthread_attr_t attr;
	pthread_t thread;
	int res;

	if (atomic_fetch_add(&under_way, 1) >= AT_ONCE) {
		atomic_fetch_sub(&under_way, 1);
		return -EAGAIN;
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	res = -pthread_create(&thread, &attr, put_main, p);
	pthread_attr_destroy(&attr);
	if (res)
		atomic_fetch_sub(&under_way, 1);
	return res;
}

static uint32_t id_of(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) ? 0 : info.id;
}

/* Is it in its slot? *ret_again: another look is worth it. */
static bool seen(const struct put *p, uint32_t id, bool *ret_again)
{
	const struct timespec nap = {.tv_nsec = LOOK_NS};
	uint64_t began;
	uint32_t there;
	bool is;

	nanosleep(&nap, NULL);
	began = sq_mono_ns();
	is = !bpf_map_lookup_elem(p->outer_fd, &p->slot, &there) && there == id;
	*ret_again = sq_mono_ns() - began < LONG_LOOK_NS;
	return is;
}

static int wait_for(struct put *p)
{
	uint32_t id = id_of(p->fd);
	bool again = id, is = false, last;
	int res;

	pthread_mutex_lock(&p->lock);
	while (!p->done && !is && again) {
		pthread_mutex_unlock(&p->lock);
		is = seen(p, id, &again);
		pthread_mutex_lock(&p->lock);
	}
	while (!p->done && !is)
		pthread_cond_wait(&p->over, &p->lock);
	last = p->done;
	p->left = true;
	res = last ? p->res : 0;
	pthread_mutex_unlock(&p->lock);
	if (last)
		put_free(p);
	return res;
}

int flows_put(int outer_fd, uint32_t slot, int table_fd)
{
	struct put *p = malloc(sizeof(*p));
	int res;

	if (p) {
		*p = (struct put){.outer_fd = outer_fd, .fd = table_fd, .slot = slot};
		pthread_mutex_init(&p->lock, NULL);
		pthread_cond_init(&p->over, NULL);
		if (!start(p))
			return wait_for(p);
		pthread_mutex_destroy(&p->lock);
		pthread_cond_destroy(&p->over);
		free(p);
	}
	res = bpf_map_update_elem(outer_fd, &slot, &table_fd, BPF_ANY);
	close(table_fd);
	return res;
}
