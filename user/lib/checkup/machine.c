// SPDX-License-Identifier: GPL-2.0-only
/* Descriptors, clocks and ports: what every program of ours wants of a machine. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>
#include "lib/checkup/checkup.h"
#include "lib/clock.h"

#define SLEEPS	  11
#define SLEEP_NS  1000000
#define LATE_NOTE 2000000 /* a ms of delay is then no ms: 10 ms is a busy or a hostless machine */

void checkup_descriptors(json_t *list, int pid, unsigned long wanted, const char *what)
{
	struct rlimit l;
	char remedy[160];

	if (prlimit(pid, RLIMIT_NOFILE, NULL, &l)) {
		checkup_add(list, "descriptors", CHECKUP_NOTE, "run it as root",
			    "the limit of process %d cannot be read: %s", pid, strerror(errno));
		return;
	}
	if (l.rlim_cur >= wanted) {
		checkup_add(list, "descriptors", CHECKUP_OK, NULL, "%llu may be open, %lu are %s",
			    (unsigned long long)l.rlim_cur, wanted, what);
		return;
	}
	if (l.rlim_max >= wanted)
		snprintf(remedy, sizeof(remedy),
			 "ulimit -n %lu before it is started; in a unit: LimitNOFILE=%lu", wanted,
			 wanted);
	else
		snprintf(remedy, sizeof(remedy),
			 "LimitNOFILE=%lu in its unit, --ulimit nofile=%lu for a container, or "
			 "/etc/security/limits.conf",
			 wanted, wanted);
	checkup_add(list, "descriptors", CHECKUP_BAD, remedy, "%llu may be open, %lu are %s",
		    (unsigned long long)l.rlim_cur, wanted, what);
}

static int by_size(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return x < y ? -1 : x > y;
}

/* The median: one preemption says nothing about the timers. */
static long long lateness(void)
{
	struct timespec ms = {.tv_nsec = SLEEP_NS};
	long long late[SLEEPS];

	for (int i = 0; i < SLEEPS; i++) {
		uint64_t t = sq_mono_ns();

		clock_nanosleep(CLOCK_MONOTONIC, 0, &ms, NULL);
		late[i] = (long long)(sq_mono_ns() - t) - SLEEP_NS;
	}
	qsort(late, SLEEPS, sizeof(late[0]), by_size);
	return late[SLEEPS / 2];
}

void checkup_clock(json_t *list)
{
	char source[64] = "unknown";
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
	struct timex t = {0};
	long long late;
	bool slow;

	if (f) {
		if (fscanf(f, "%63s", source) != 1)
			strcpy(source, "unknown");
		fclose(f);
	}
	slow = !strcmp(source, "hpet") || !strcmp(source, "acpi_pm") || !strcmp(source, "jiffies");
	late = lateness();
	checkup_add(list, "clock", slow || late > LATE_NOTE ? CHECKUP_NOTE : CHECKUP_OK,
		    slow ? "each reading of this source costs a microsecond or more: use tsc, or "
			   "kvm-clock in a guest"
		    : late > LATE_NOTE ? "delays will be that much longer: give the machine free "
					 "CPU time"
				       : NULL,
		    "%s; 1 ms of sleep ends %.2f ms late", source, (double)late / 1e6);
	if (adjtimex(&t) < 0 || (t.status & STA_UNSYNC))
		checkup_add(list, "time of day", CHECKUP_NOTE,
			    "only where two machines' times are compared (latency from end to "
			    "end): run chrony or systemd-timesyncd on both",
			    "nobody says that the wall clock is right");
	else
		checkup_add(list, "time of day", CHECKUP_OK, NULL, "kept, at most %.0f ms wrong",
			    (double)t.maxerror / 1e3);
}

int checkup_bind(const char *address, unsigned int port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	bool v4 = inet_pton(AF_INET, address, &a4.sin_addr) == 1;
	int one = 1, fd, r;

	if (!v4 && inet_pton(AF_INET6, address, &a6.sin6_addr) != 1)
		return -EINVAL;
	fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* As servers do: connections that have ended do not count. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	r = bind(fd, v4 ? (struct sockaddr *)&a4 : (struct sockaddr *)&a6,
		 v4 ? sizeof(a4) : sizeof(a6)) ||
			    listen(fd, 1)
		    ? -errno
		    : 0;
	close(fd);
	return r;
}
