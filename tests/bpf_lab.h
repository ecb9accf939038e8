/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The BPF programs without any interface: maps of their own, one attachment
 * (index 0, what a test run has), and packets through BPF_PROG_TEST_RUN. A test
 * packet's socket belongs to the cgroup of the process, which therefore makes
 * one for itself. Included by the one-file programs that need it.
 */
#ifndef BPF_LAB_H
#define BPF_LAB_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <squall/abi.h>
#include <squall/rule.h>
#include "squall.skel.h"

#define DIE(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(1))

static struct squall_bpf *skel;
static char group[256];
static uint64_t my_id;
static int my_level;
/* Two bytes in, so that what follows the Ethernet header is aligned. */
#define PACKET_SIZE 128
static unsigned char packet_room[PACKET_SIZE + 2] __attribute__((aligned(4)));
static unsigned char *const packet = packet_room + 2;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		DIE("%s: %s", path, strerror(errno));
	close(fd);
}

static char mount_dir[128], old_group[256];

static void leave_group(void)
{
	char path[512], pid[32];

	snprintf(path, sizeof(path), "%.120s%.250s/cgroup.procs", mount_dir, old_group);
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(path, pid);
	rmdir(group);
}

static void enter_group(void)
{
	char line[512], path[300], pid[32];
	struct stat st;
	FILE *f = fopen("/proc/self/mounts", "r");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %127s cgroup2", mount_dir) == 1 && strstr(line, " cgroup2 "))
			break;
	fclose(f);
	f = fopen("/proc/self/cgroup", "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3))
			snprintf(old_group, sizeof(old_group), "%.*s", (int)strcspn(line + 3, "\n"),
				 line + 3);
	fclose(f);
	snprintf(group, sizeof(group), "%s/squall-bench-%d", mount_dir, getpid());
	if (mkdir(group, 0755))
		DIE("%s: %s", group, strerror(errno));
	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	snprintf(pid, sizeof(pid), "%d", getpid());
	write_file(path, pid);
	atexit(leave_group);
	if (stat(group, &st))
		DIE("%s: %s", group, strerror(errno));
	my_id = st.st_ino;
	my_level = 1;
}

static uint32_t next_id;
static uint64_t rule_expires_ns; /* of the rules that set_rule() sets */
static bool rule_keep = true;

static void set_rule(uint64_t cgroup, const char *text)
{
	struct sq_target value = {.rule_id = ++next_id};
	struct sq_error err;
	struct sq_rule rule;

	if (sq_rule_from_text(text, strlen(text), &rule, &err))
		DIE("%s", err.text);
	rule.id = next_id;
	rule.target = cgroup;
	rule.seed = 1;
	rule.wait_slot = 1;
	rule.expires_ns = rule_expires_ns;
	if (rule_keep)
		rule.flags |= SQ_R_KEEP;
	for (uint32_t i = 0; i < rule.n_clauses; i++)
		rule.clause[i].faults[SQ_UP].counter = 1;
	if (bpf_map_update_elem(bpf_map__fd(skel->maps.sq_rules), &rule.id, &rule, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(skel->maps.sq_targets), &cgroup, &value, BPF_ANY))
		DIE("cannot set a rule: %s", strerror(errno));
}

static void del_rule(uint64_t cgroup)
{
	struct sq_target value;

	if (!bpf_map_lookup_elem(bpf_map__fd(skel->maps.sq_targets), &cgroup, &value))
		bpf_map_delete_elem(bpf_map__fd(skel->maps.sq_rules), &value.rule_id);
	bpf_map_delete_elem(bpf_map__fd(skel->maps.sq_targets), &cgroup);
}

static struct sq_cfg cfg = {
	.abi_version = SQ_ABI_VERSION, .lane = SQ_LANE_TAP, .trace_every = 1, .control_port = 4080};

__attribute__((unused)) static int load(const char *name, const struct bpf_insn *insns, int n)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", insns, n, NULL);

	if (fd < 0)
		DIE("cannot load %s: %s", name, strerror(errno));
	return fd;
}

__attribute__((unused)) static int empty_prog(void)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return load("empty", insns, 2);
}

/* The runs share one skb, and a judged packet is marked and never judged again:
 * so each run clears the mark and then jumps into the program. The empty
 * program is run in the same way, and what that costs is in every row. */
__attribute__((unused)) static int fresh_packet_then(int prog_fd)
{
	int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "jump", 4, 4, 1, NULL);
	struct bpf_insn insns[] = {
		{.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0},
		{.code = BPF_STX | BPF_MEM | BPF_W,
		 .dst_reg = 1,
		 .src_reg = 2,
		 .off = offsetof(struct __sk_buff, tc_index)},
		{.code = BPF_LD | BPF_DW | BPF_IMM,
		 .dst_reg = 2,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 0},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_tail_call},
		{.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	uint32_t zero = 0;

	if (map < 0 || bpf_map_update_elem(map, &zero, &prog_fd, BPF_ANY))
		DIE("cannot make a program array: %s", strerror(errno));
	return load("fresh_packet", insns, sizeof(insns) / sizeof(*insns));
}

static void bpf_lab_open(void)
{
	struct sq_att att = {.flags = SQ_A_HOST | SQ_A_CUTS_NOW,
			     .ifindex = 1,
			     .lane_ifindex = 1,
			     .seg_ifindex = 1};
	/* A run's packets never come back from where they wait. */
	struct sq_lane_state lane = {.max_bytes = 1ull << 38, .target_max_bytes = 1ull << 38};
	struct ethhdr *eth = (void *)packet;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	uint32_t zero = 0, one = 1;
	void *counters;

	enter_group();
	libbpf_set_print(NULL);
	skel = squall_bpf__open_and_load();
	if (!skel)
		DIE("cannot load the programs: %s", strerror(errno));
	cfg.levels = my_level;
	cfg.lease_ns = cfg.pacer_ns = now_ns() + 3600000000000ull;
	counters = calloc(libbpf_num_possible_cpus(), sizeof(struct sq_counters));
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_cfg), &zero, &cfg, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_att), &zero, &att, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_lane), &zero, &lane, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_counters), &one, counters, BPF_ANY);
	free(counters);
	eth->h_proto = htons(ETH_P_IP);
	*ip = (struct iphdr){.version = 4,
			     .ihl = 5,
			     .ttl = 64,
			     .protocol = 17,
			     .tot_len = htons(PACKET_SIZE - ETH_HLEN),
			     .saddr = htonl(0x0a000001),
			     .daddr = htonl(0x0a000002)};
	*udp = (struct udphdr){.source = htons(4000),
			       .dest = htons(1883),
			       .len = htons(PACKET_SIZE - ETH_HLEN - 20)};
}

#endif
