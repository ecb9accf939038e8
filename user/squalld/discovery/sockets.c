// SPDX-License-Identifier: GPL-2.0-only
/*
 * proc(5): the descriptors of the processes give inodes of sockets, the tables
 * of their network namespaces give the ends of each inode.
 */
#include "squalld/discovery/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "lib/cgroup.h"

#define MAX_PIDS    64
#define MAX_SOCKETS 4096
#define MAX_SPACES  16

struct look {
	int max_lines, pids, n_spaces, space_pid[MAX_SPACES];
	ino_t space[MAX_SPACES];
	unsigned long long *inode;
	size_t n;
	void (*fn)(const struct peer_of *p, void *arg);
	void *arg;
};

static int by_number(const void *a, const void *b)
{
	unsigned long long x = *(const unsigned long long *)a, y = *(const unsigned long long *)b;

	return x < y ? -1 : x > y;
}

static void note_space(struct look *l, int pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
	if (stat(path, &st) < 0)
		return;
	for (int i = 0; i < l->n_spaces; i++)
		if (l->space[i] == st.st_ino)
			return;
	if (l->n_spaces == MAX_SPACES)
		return;
	l->space[l->n_spaces] = st.st_ino;
	l->space_pid[l->n_spaces++] = pid;
}

static int note_pid(int pid, void *arg)
{
	struct look *l = arg;
	char path[64], to[64];
	struct dirent *d;
	DIR *dir;

	if (l->pids++ >= MAX_PIDS)
		return 0; /* counted only */
	note_space(l, pid);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && l->n < MAX_SOCKETS && (d = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, to, sizeof(to) - 1);

		if (n <= 0)
			continue;
		to[n] = 0;
		if (sscanf(to, "socket:[%llu]", &l->inode[l->n]) == 1)
			l->n++;
	}
	if (dir)
		closedir(dir);
	return 0;
}

/* "0100007F" and four of those for IPv6: words in the machine's order. */
static bool address(const char *hex, bool v6, uint8_t *ret)
{
	memset(ret, 0, 16);
	for (int i = 0; i < (v6 ? 4 : 1); i++) {
		unsigned int word;

		if (sscanf(hex + i * 8, "%8x", &word) != 1)
			return false;
		memcpy(ret + i * 4, &word, 4);
	}
	return true;
}

static void narrow(uint8_t *a)
{
	memcpy(a, a + 12, 4);
	memset(a + 4, 0, 12);
}

static bool is_loop(const struct peer_of *p)
{
	return p->family == AF_INET ? p->remote[0] == 127 || memcmp(p->local, p->remote, 4) == 0
				    : IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)p->remote) ||
					      memcmp(p->local, p->remote, 16) == 0;
}

static void read_line(struct look *l, const char *line, bool v6, uint8_t proto)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, nobody[16];
	struct peer_of p = {.family = v6 ? AF_INET6 : AF_INET, .proto = proto};
	char local[33], remote[33];
	unsigned int lport, rport, state;
	unsigned long long inode;

	if (sscanf(line, " %*d: %32[0-9A-F]:%4x %32[0-9A-F]:%4x %2x %*s %*s %*s %*u %*d %llu",
		   local, &lport, remote, &rport, &state, &inode) != 6 ||
	    !rport || !bsearch(&inode, l->inode, l->n, sizeof(inode), by_number) ||
	    !address(local, v6, p.local) || !address(remote, v6, p.remote) ||
	    !memcmp(p.remote, nobody, sizeof(nobody)))
		return;
	if (v6 && !memcmp(p.remote, mapped, sizeof(mapped))) {
		p.family = AF_INET;
		narrow(p.remote);
		narrow(p.local);
	}
	p.lport = (uint16_t)lport;
	p.rport = (uint16_t)rport;
	p.loops = is_loop(&p);
	l->fn(&p, l->arg);
}

static void read_table(struct look *l, int pid, const char *table, bool v6, uint8_t proto)
{
	char path[64], line[512];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, table);
	f = fopen(path, "re");
	while (f && n++ < l->max_lines && fgets(line, sizeof(line), f))
		read_line(l, line, v6, proto);
	if (f)
		fclose(f);
}

int sockets_each(const char *cgroup, int max_lines, void (*fn)(const struct peer_of *p, void *arg),
		 void *arg)
{
	struct look l = {.max_lines = max_lines, .fn = fn, .arg = arg};

	l.inode = calloc(MAX_SOCKETS, sizeof(*l.inode));
	if (!l.inode)
		return 0;
	cgroup_each_pid(cgroup, note_pid, &l);
	qsort(l.inode, l.n, sizeof(*l.inode), by_number);
	for (int i = 0; i < l.n_spaces && l.n; i++) {
		read_table(&l, l.space_pid[i], "tcp", false, IPPROTO_TCP);
		read_table(&l, l.space_pid[i], "tcp6", true, IPPROTO_TCP);
		read_table(&l, l.space_pid[i], "udp", false, IPPROTO_UDP);
		read_table(&l, l.space_pid[i], "udp6", true, IPPROTO_UDP);
	}
	free(l.inode);
	return l.pids;
}
