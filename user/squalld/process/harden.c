// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a hole in the HTTP server or in a JSON parser could reach.
 *
 * Capabilities and seccomp filters belong to threads, and the engine starts
 * some, so both are set before it is opened rather than after: everything it
 * needs to open is in the lists. No program can be executed, no process made,
 * nothing mounted, traced or loaded as a module.
 */
#include "squalld/process/harden.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include "squalld/base/log.h"

static const cap_value_t keep[] = {
	CAP_BPF,	     /* load programs, make maps */
	CAP_PERFMON,	     /* programs that read kernel memory through helpers */
	CAP_NET_ADMIN,	     /* qdiscs, filters, links, TAPs */
	CAP_SYS_ADMIN,	     /* setns(2) into a container's network; bpf ids of maps and programs */
	CAP_SYS_PTRACE,	     /* /proc/PID/ns/net of processes that are not dumpable */
	CAP_DAC_READ_SEARCH, /* open_by_handle_at(2): a cgroup's id to its path; a token file of
				another user */
	CAP_SYS_NICE,	     /* the pacer's real-time priority */
	CAP_IPC_LOCK,	     /* maps on kernels that account them as locked memory */
	CAP_SYS_RESOURCE,    /* the same kernels: RLIMIT_MEMLOCK */
};

static const char *const allowed[] __attribute__((unused)) = {
	/* files */
	"read",
	"write",
	"readv",
	"writev",
	"pread64",
	"pwrite64",
	"preadv",
	"pwritev",
	"close",
	"close_range",
	"open",
	"openat",
	"openat2",
	"stat",
	"fstat",
	"lstat",
	"newfstatat",
	"fstatat64",
	"statx",
	"statfs",
	"fstatfs",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"readlinkat",
	"getdents",
	"getdents64",
	"lseek",
	"fcntl",
	"flock",
	"fsync",
	"fdatasync",
	"ftruncate",
	"fallocate",
	"rename",
	"renameat",
	"renameat2",
	"unlink",
	"unlinkat",
	"rmdir",
	"mkdir",
	"mkdirat",
	"dup",
	"dup2",
	"dup3",
	"pipe",
	"pipe2",
	"umask",
	"chmod",
	"fchmod",
	"fchmodat",
	"chown",
	"fchown",
	"fchownat",
	"sendfile",
	"name_to_handle_at",
	"open_by_handle_at",
	"inotify_init1",
	"inotify_add_watch",
	"inotify_rm_watch",
	"getcwd",
	/* memory and threads */
	"mmap",
	"munmap",
	"mprotect",
	"mremap",
	"madvise",
	"brk",
	"mlock",
	"mlock2",
	"munlock",
	"mlockall",
	"membarrier",
	"rseq",
	"set_robust_list",
	"get_robust_list",
	"futex",
	"futex_waitv",
	"set_tid_address",
	"exit",
	"exit_group",
	"arch_prctl",
	"gettid",
	"getpid",
	"getppid",
	"getuid",
	"geteuid",
	"getgid",
	"getegid",
	"getgroups",
	"getresuid",
	"getresgid",
	"getrandom",
	"uname",
	"sysinfo",
	"getrlimit",
	"setrlimit",
	"prlimit64",
	"getrusage",
	"times",
	"sched_yield",
	"sched_setscheduler",
	"sched_getscheduler",
	"sched_setparam",
	"sched_getparam",
	"sched_setaffinity",
	"sched_getaffinity",
	"sched_get_priority_max",
	"sched_get_priority_min",
	"sched_setattr",
	"sched_getattr",
	"setpriority",
	"getpriority",
	"prctl",
	"getcpu",
	"memfd_create",
	"capget",
	/* signals and time */
	"rt_sigaction",
	"rt_sigprocmask",
	"rt_sigreturn",
	"rt_sigtimedwait",
	"rt_sigpending",
	"rt_sigsuspend",
	"sigaltstack",
	"tgkill",
	"restart_syscall",
	"nanosleep",
	"clock_nanosleep",
	"clock_gettime",
	"clock_getres",
	"gettimeofday",
	"time",
	"timerfd_create",
	"timerfd_settime",
	"timerfd_gettime",
	"timer_create",
	"timer_settime",
	"timer_delete",
	/* waiting */
	"poll",
	"ppoll",
	"select",
	"pselect6",
	"epoll_create",
	"epoll_create1",
	"epoll_ctl",
	"epoll_wait",
	"epoll_pwait",
	"epoll_pwait2",
	"eventfd",
	"eventfd2",
	"signalfd4",
	/* sockets */
	"socket",
	"socketpair",
	"connect",
	"accept",
	"accept4",
	"bind",
	"listen",
	"shutdown",
	"getsockname",
	"getpeername",
	"setsockopt",
	"getsockopt",
	"sendto",
	"recvfrom",
	"sendmsg",
	"recvmsg",
	"sendmmsg",
	"recvmmsg",
	"ioctl",
	/* the engine */
	"bpf",
	"perf_event_open",
	"setns",
	"unshare",
	"pidfd_open",
	"kcmp",
};

static int drop_capabilities(struct sq_error *err)
{
	cap_t caps = cap_init();
	int rc = 0;

	if (!caps)
		return -ENOMEM;
	for (cap_value_t cap = 0; cap <= CAP_LAST_CAP; cap++) {
		bool kept = false;
		cap_flag_value_t have = CAP_CLEAR;
		cap_t now;

		for (size_t i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
			kept |= keep[i] == cap;
		now = cap_get_proc();
		if (now) {
			cap_get_flag(now, cap, CAP_PERMITTED, &have);
			cap_free(now);
		}
		if (kept && have == CAP_SET) {
			cap_set_flag(caps, CAP_PERMITTED, 1, &cap, CAP_SET);
			cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_SET);
		}
		if (!kept && cap_get_bound(cap) == 1)
			cap_drop_bound(cap);
	}
	if (cap_set_proc(caps) < 0) {
		rc = -errno;
		sq_error_set(err, rc, NULL, "cannot drop capabilities: %s", strerror(-rc));
	}
	cap_free(caps);
	return rc;
}

static int install_filter(struct sq_error *err)
{
#ifdef __SANITIZE_ADDRESS__
	/* The leak checker forks and traces at exit. */
	(void)err;
	return 0;
#else
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = 0;

	if (!ctx)
		return -ENOMEM;
	for (size_t i = 0; rc == 0 && i < sizeof(allowed) / sizeof(allowed[0]); i++) {
		int nr = seccomp_syscall_resolve_name(allowed[i]);

		if (nr >= 0) /* not every architecture has each */
			rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	}
	/* Threads, not processes. clone3(2) hides its flags from us; without it, glibc takes
	 * clone(2). */
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
	if (rc == 0)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc < 0)
		sq_error_set(err, rc, NULL, "cannot install the system call filter: %s",
			     strerror(-rc));
	return rc;
#endif
}

int harden(struct sq_error *err)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		rc = -errno;
		sq_error_set(err, rc, NULL, "cannot set no_new_privs: %s", strerror(-rc));
		return rc;
	}
	rc = drop_capabilities(err);
	return rc < 0 ? rc : install_filter(err);
}
