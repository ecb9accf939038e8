// SPDX-License-Identifier: GPL-2.0-only
/* A TAP that somebody deletes must not make the pacer spin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include "squalld/net/pacer.h"

static int tap_fd = -1;

static int delete_link(unsigned int ifindex)
{
	struct {
		struct nlmsghdr h;
		struct ifinfomsg i;
	} m = {
		.h = {.nlmsg_len = sizeof(m),
		      .nlmsg_type = RTM_DELLINK,
		      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.i = {.ifi_index = (int)ifindex},
	};
	char answer[512];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), ok;

	ok = fd >= 0 && send(fd, &m, sizeof(m), 0) == (ssize_t)sizeof(m) &&
	     recv(fd, answer, sizeof(answer), 0) > 0;
	if (fd >= 0)
		close(fd);
	return ok ? 0 : -1;
}

/* In a thread of its own, which has a network namespace of its own. */
static void *open_tap(void *arg)
{
	struct ifreq req = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	(void)arg;
	if (unshare(CLONE_NEWNET) < 0)
		return NULL;
	tap_fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strcpy(req.ifr_name, "gone0");
	if (tap_fd >= 0 && ioctl(tap_fd, TUNSETIFF, &req) < 0) {
		close(tap_fd);
		tap_fd = -1;
	}
	if (tap_fd >= 0 && delete_link(if_nametoindex("gone0")) < 0)
		tap_fd = -1;
	return NULL;
}

static double cpu_s(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	       (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static void test_gone(void **state)
{
	uint64_t heartbeat = 0;
	struct pacer *p;
	pthread_t t;
	double before;
	char byte;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, open_tap, NULL), 0);
	pthread_join(t, NULL);
	if (tap_fd < 0)
		skip(); /* no root, or no tun */
	assert_true(read(tap_fd, &byte, 1) < 0 && errno != EAGAIN);
	assert_int_equal(pacer_start(&heartbeat, 1 << 20, &p), 0);
	assert_int_equal(pacer_add(p, tap_fd), 0);
	before = cpu_s();
	usleep(1000000);
	assert_true(cpu_s() - before < 0.2);
	/* Still known by its number to whoever added it. */
	assert_int_equal(pacer_remove(p, tap_fd), 0);
	assert_int_equal(pacer_remove(p, tap_fd), -ENOENT);
	pacer_stop(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_gone)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
