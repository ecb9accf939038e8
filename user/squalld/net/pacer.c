// SPDX-License-Identifier: GPL-2.0-only
/*
 * A frame arrives as  [vnet 10][lane header 24][Ethernet 14][IP ...]  and
 * leaves as           [vnet 10][Ethernet 14][lane header 24][IP ...],
 * since BPF can put bytes in front of a packet, but cut them out only behind
 * its Ethernet header. The offsets in the vnet header (checksum start, header
 * length) count from the first byte after it and are the same in both.
 *
 * Order: a binary heap by (departure, arrival), so frames with the same time
 * leave as they came. Cost per frame: one read, one write, one copy of its
 * bytes, O(log n) moves of 24 bytes. Not done: batched reads (the TAP has no
 * such call) and several threads (one core carries about 250,000 frames a
 * second, GSO frames of 64 KiB included).
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <squall/abi.h>
#include "squalld/net/pacer.h"

#define MAX_TAPS     1024
#define FRAME_MAX    (sizeof(struct virtio_net_hdr) + sizeof(struct sq_lane_hdr) + 128 + 65536)
#define READ_BATCH   64 /* frames of one TAP before the clock is looked at again */
#define HEARTBEAT_NS 90000000ull
#define STUCK_S	     5 /* the thread answers within HEARTBEAT_NS, unless it gets no CPU */

struct waiting {
	uint64_t depart_ns;
	uint64_t arrival;
	struct frame {
		uint64_t target;
		int tap;
		uint32_t len;
		unsigned char bytes[];
	} * frame;
};

struct pacer {
	pthread_t thread;
	pthread_mutex_t lock; /* taps and stats; the heap belongs to the thread */
	pthread_cond_t changed;
	struct pollfd taps[MAX_TAPS + 1]; /* [0] is the wake-up */
	int n;
	int removing; /* a TAP the thread shall forget, or -1 */
	struct shorter {
		uint64_t target, latest_ns;
	} * shorter; /* what pacer_shorten() was asked, for the thread to do */
	size_t shorter_n, shorter_room;
	bool stop, ended;
	uint64_t *heartbeat;
	size_t max_bytes;
	struct pacer_stats stats;
	struct waiting *heap;
	size_t heap_n, heap_room;
	size_t heap_bytes;
	uint64_t arrivals;
	uint64_t late_since;
};

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static bool before(const struct waiting *a, const struct waiting *b)
{
	return a->depart_ns != b->depart_ns ? a->depart_ns < b->depart_ns : a->arrival < b->arrival;
}

static int heap_push(struct pacer *p, struct waiting w)
{
	size_t i, up;

	if (p->heap_n == p->heap_room) {
		size_t room = p->heap_room ? p->heap_room * 2 : 4096;
		struct waiting *heap = reallocarray(p->heap, room, sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		p->heap = heap;
		p->heap_room = room;
	}
	for (i = p->heap_n++; i; i = up) {
		up = (i - 1) / 2;
		if (!before(&w, &p->heap[up]))
			break;
		p->heap[i] = p->heap[up];
	}
	p->heap[i] = w;
	p->heap_bytes += w.frame->len;
	return 0;
}

static struct frame *heap_pop(struct pacer *p)
{
	struct frame *top = p->heap[0].frame;
	struct waiting last = p->heap[--p->heap_n];
	size_t i = 0, child;

	p->heap[p->heap_n] = (struct waiting){0};
	while ((child = 2 * i + 1) < p->heap_n) {
		if (child + 1 < p->heap_n && before(&p->heap[child + 1], &p->heap[child]))
			child++;
		if (!before(&p->heap[child], &last))
			break;
		p->heap[i] = p->heap[child];
		i = child;
	}
	p->heap[i] = last;
	p->heap_bytes -= top->len;
	return top;
}

/* Frames of a TAP that goes away are dropped: there is nowhere to write them. */
static void heap_forget(struct pacer *p, int tap)
{
	struct waiting *old = p->heap;
	size_t n = p->heap_n;

	p->heap = NULL;
	p->heap_n = p->heap_room = p->heap_bytes = 0;
	for (size_t i = 0; i < n; i++)
		if (old[i].frame->tap == tap || heap_push(p, old[i]))
			free(old[i].frame);
	free(old);
}

static int by_target(const void *a, const void *b)
{
	uint64_t x = ((const struct shorter *)a)->target, y = ((const struct shorter *)b)->target;

	return (x > y) - (x < y);
}

/* Asked twice for one target, the earlier time holds. */
static void heap_shorten(struct pacer *p, struct shorter *list, size_t n)
{
	struct waiting *old = p->heap;
	size_t old_n = p->heap_n;

	qsort(list, n, sizeof(*list), by_target);
	p->heap = NULL;
	p->heap_n = p->heap_room = p->heap_bytes = 0;
	for (size_t i = 0; i < old_n; i++) {
		struct shorter key = {.target = old[i].frame->target};
		struct shorter *s = bsearch(&key, list, n, sizeof(*list), by_target);

		while (s && s > list && s[-1].target == key.target)
			s--;
		for (; s && s < list + n && s->target == key.target; s++)
			if (old[i].depart_ns > s->latest_ns)
				old[i].depart_ns = s->latest_ns;
		if (heap_push(p, old[i]))
			free(old[i].frame);
	}
	free(old);
}

static void write_due(struct pacer *p)
{
	uint64_t now = now_ns(), late, frames = 0, dropped = 0, worst = 0;

	while (p->heap_n && p->heap[0].depart_ns <= now) {
		struct frame *f;

		late = now - p->heap[0].depart_ns;
		f = heap_pop(p);
		if (write(f->tap, f->bytes, f->len) < 0)
			dropped++;
		free(f);
		frames++;
		if (late > worst)
			worst = late;
		if (!(frames % 16))
			now = now_ns();
	}
	pthread_mutex_lock(&p->lock);
	p->stats.frames += frames;
	p->stats.dropped += dropped;
	if (now - p->late_since > 1000000000ull) {
		p->late_since = now;
		p->stats.late_ns = worst;
	} else if (worst > p->stats.late_ns) {
		p->stats.late_ns = worst;
	}
	p->stats.queued = p->heap_n;
	p->stats.queued_bytes = p->heap_bytes;
	pthread_mutex_unlock(&p->lock);
	__atomic_store_n(p->heartbeat, now, __ATOMIC_RELAXED);
}

/*
 * poll() reports POLLERR for ever once somebody has deleted a TAP. A thread of real-time priority
 * would then spin and starve the whole machine, so such a TAP is looked at no more: poll() skips
 * negative descriptors. Its owner still removes it by its number.
 */
static int gone(int fd)
{
	return -fd - 1;
}

static void ignore_tap(struct pacer *p, int tap)
{
	pthread_mutex_lock(&p->lock);
	for (int i = 1; i < p->n; i++)
		if (p->taps[i].fd == tap)
			p->taps[i].fd = gone(tap);
	pthread_mutex_unlock(&p->lock);
}

/* Were there more than are read at once? */
static bool read_tap(struct pacer *p, int tap, unsigned char *buf)
{
	const size_t vnet = sizeof(struct virtio_net_hdr);
	struct sq_lane_hdr hdr;

	for (int i = 0; i < READ_BATCH; i++) {
		ssize_t n = read(tap, buf, FRAME_MAX);
		struct waiting w;

		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR)
				ignore_tap(p, tap);
			return false;
		}
		if ((size_t)n < vnet + sizeof(hdr) + ETH_HLEN)
			continue;
		memcpy(&hdr, buf + vnet, sizeof(hdr));
		if (hdr.magic != SQ_LANE_MAGIC)
			continue;
		memmove(buf + vnet, buf + vnet + sizeof(hdr), ETH_HLEN);
		memcpy(buf + vnet + ETH_HLEN, &hdr, sizeof(hdr));
		w.frame = p->heap_bytes + n > p->max_bytes ? NULL : malloc(sizeof(*w.frame) + n);
		if (w.frame) {
			w.depart_ns = hdr.depart_ns;
			w.arrival = p->arrivals++;
			w.frame->target = hdr.target;
			w.frame->tap = tap;
			w.frame->len = n;
			memcpy(w.frame->bytes, buf, n);
		}
		if (!w.frame || heap_push(p, w)) {
			free(w.frame);
			pthread_mutex_lock(&p->lock);
			p->stats.dropped++;
			pthread_mutex_unlock(&p->lock);
		}
	}
	return true;
}

/* Also what is still in the queue of a TAP, but for those of more senders than can be followed. */
static void shorten(struct pacer *p, const struct pollfd *fds, int n, unsigned char *buf)
{
	struct shorter *list;
	size_t list_n;

	pthread_mutex_lock(&p->lock);
	list = p->shorter;
	list_n = p->shorter_n;
	p->shorter = NULL;
	p->shorter_n = p->shorter_room = 0;
	pthread_mutex_unlock(&p->lock);
	if (!list_n)
		return;
	for (int i = 1; i < n; i++)
		for (int more = 64; fds[i].fd >= 0 && more && read_tap(p, fds[i].fd, buf); more--)
			;
	heap_shorten(p, list, list_n);
	free(list);
}

static void wait_next(struct pacer *p, struct pollfd *fds, int n)
{
	uint64_t now = now_ns(), wait = HEARTBEAT_NS;
	struct timespec ts;

	if (p->heap_n) {
		uint64_t next = p->heap[0].depart_ns;

		wait = next <= now ? 0 : next - now < wait ? next - now : wait;
	}
	ts.tv_sec = 0;
	ts.tv_nsec = wait;
	ppoll(fds, n, &ts, NULL);
}

static void *pacer_main(void *arg)
{
	struct pacer *p = arg;
	struct sched_param rt = {.sched_priority = 10};
	unsigned char *buf = malloc(FRAME_MAX);
	struct pollfd *fds = malloc(sizeof(p->taps));
	int n;

	prctl(PR_SET_NAME, "squall-pacer");
	/* 1 ns instead of 50 us; and before ordinary processes: a late pacer is
	 * jitter nobody asked for. Without the right to, it works as well as it can. */
	prctl(PR_SET_TIMERSLACK, 1);
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &rt);
	while (buf && fds) {
		uint64_t drain;

		pthread_mutex_lock(&p->lock);
		if (p->removing >= 0) {
			heap_forget(p, p->removing);
			close(p->removing);
			p->removing = -1;
			pthread_cond_broadcast(&p->changed);
		}
		n = p->n;
		memcpy(fds, p->taps, n * sizeof(*fds));
		if (p->stop) {
			pthread_mutex_unlock(&p->lock);
			break;
		}
		pthread_mutex_unlock(&p->lock);

		wait_next(p, fds, n);
		write_due(p);
		if (fds[0].revents && read(fds[0].fd, &drain, sizeof(drain)) < 0)
			drain = 0;
		for (int i = 1; i < n; i++)
			if (fds[i].revents)
				read_tap(p, fds[i].fd, buf);
		shorten(p, fds, n, buf);
	}
	free(buf);
	free(fds);
	pthread_mutex_lock(&p->lock);
	p->ended = true;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void wake(struct pacer *p)
{
	uint64_t one = 1;

	if (write(p->taps[0].fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake */
}

int pacer_start(uint64_t *heartbeat, size_t max_bytes, struct pacer **ret)
{
	struct pacer *p = calloc(1, sizeof(*p));
	pthread_condattr_t attr;
	int err;

	if (!p)
		return -ENOMEM;
	p->heartbeat = heartbeat;
	p->max_bytes = max_bytes;
	p->removing = -1;
	p->n = 1;
	p->taps[0].events = POLLIN;
	p->taps[0].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (p->taps[0].fd < 0) {
		err = -errno;
		free(p);
		return err;
	}
	pthread_mutex_init(&p->lock, NULL);
	/* The wall clock may be set while somebody waits. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &attr);
	pthread_condattr_destroy(&attr);
	err = -pthread_create(&p->thread, NULL, pacer_main, p);
	if (err) {
		close(p->taps[0].fd);
		free(p);
		return err;
	}
	*ret = p;
	return 0;
}

static void deadline(struct timespec *ret)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += STUCK_S;
}

int pacer_stop(struct pacer *p)
{
	struct timespec until;
	bool ended;

	if (!p)
		return 0;
	deadline(&until);
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	wake(p);
	while (!p->ended && !pthread_cond_timedwait(&p->changed, &p->lock, &until))
		;
	ended = p->ended;
	pthread_mutex_unlock(&p->lock);
	/* A thread that somebody starves must not keep squalld from ending: it is left behind
	 * with what it uses, and the process's end takes both. */
	if (!ended) {
		pthread_detach(p->thread);
		return -ETIMEDOUT;
	}
	pthread_join(p->thread, NULL);
	for (int i = 0; i < p->n; i++)
		close(p->taps[i].fd < 0 ? gone(p->taps[i].fd) : p->taps[i].fd);
	while (p->heap_n)
		free(heap_pop(p));
	free(p->heap);
	free(p->shorter);
	free(p);
	return 0;
}

int pacer_add(struct pacer *p, int tap_fd)
{
	int err = 0;

	pthread_mutex_lock(&p->lock);
	if (p->n > MAX_TAPS)
		err = -ENOSPC;
	else
		p->taps[p->n++] = (struct pollfd){.fd = tap_fd, .events = POLLIN};
	pthread_mutex_unlock(&p->lock);
	wake(p);
	return err;
}

/* Until the thread has forgotten the TAP of before; lock held. */
static bool forgotten(struct pacer *p)
{
	struct timespec until;

	deadline(&until);
	while (p->removing >= 0)
		if (pthread_cond_timedwait(&p->changed, &p->lock, &until))
			return p->removing < 0;
	return true;
}

int pacer_remove(struct pacer *p, int tap_fd)
{
	int err = -ENOENT;

	pthread_mutex_lock(&p->lock);
	for (int i = 1; i < p->n; i++) {
		if (p->taps[i].fd != tap_fd && p->taps[i].fd != gone(tap_fd))
			continue;
		err = -ETIMEDOUT;
		if (!forgotten(p))
			break;
		p->taps[i] = p->taps[--p->n];
		p->removing = tap_fd;
		wake(p);
		if (forgotten(p))
			err = 0;
		break;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

void pacer_shorten(struct pacer *p, uint64_t target, uint64_t latest_ns)
{
	pthread_mutex_lock(&p->lock);
	if (p->shorter_n == p->shorter_room) {
		size_t room = p->shorter_room ? 2 * p->shorter_room : 16;
		struct shorter *grown = reallocarray(p->shorter, room, sizeof(*grown));

		if (grown) {
			p->shorter = grown;
			p->shorter_room = room;
		}
	}
	/* Else it leaves at its own time. */
	if (p->shorter_n < p->shorter_room)
		p->shorter[p->shorter_n++] = (struct shorter){target, latest_ns};
	pthread_mutex_unlock(&p->lock);
	wake(p);
}

void pacer_get_stats(struct pacer *p, struct pacer_stats *ret)
{
	pthread_mutex_lock(&p->lock);
	*ret = p->stats;
	pthread_mutex_unlock(&p->lock);
}
