// libs: -lbpf
// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a packet costs in the data path, by BPF_PROG_TEST_RUN (the kernel runs
 * the program N times on one packet and reports ns per run). Rounds alternate
 * between the cases, and the minimum of each is printed: noise only adds.
 *
 *   bpf [-j] [-r ROUNDS] [-n RUNS]
 *
 * The packet's socket belongs to the cgroup of this process, so it makes one
 * for itself, and rules sit on it or on its siblings.
 */
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
static unsigned char packet[128];

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

static void others(int n)
{
	for (int i = 0; i < n; i++)
		set_rule(1000000 + i, "up loss 10%");
}

static void no_others(int n)
{
	for (int i = 0; i < n; i++)
		del_rule(1000000 + i);
}

static void fault_none(void) { others(1); }
static void unfault_none(void) { no_others(1); }
static void fault_10k(void) { others(10000); }
static void unfault_10k(void) { no_others(10000); }
#define FAULT(name, text)                                                     \
	static void fault_##name(void) { set_rule(my_id, text); }             \
	static void unfault_##name(void) { del_rule(my_id); }
FAULT(lost, "up loss 100%")
FAULT(loss, "up loss 10%")
FAULT(correlated, "up loss 10% 25%")
FAULT(gemodel, "up loss gemodel 1% 10%")
FAULT(delay, "up delay 50ms 10ms distribution normal")
FAULT(all, "up loss 1% 25% delay 50ms 10ms distribution normal duplicate 1% reorder 1% rate 1gbit")

static int load(const char *name, const struct bpf_insn *insns, int n)
{
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, name, "GPL", insns, n, NULL);

	if (fd < 0)
		DIE("cannot load %s: %s", name, strerror(errno));
	return fd;
}

static int empty_prog(void)
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
static int fresh_packet_then(int prog_fd)
{
	int map = bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "jump", 4, 4, 1, NULL);
	struct bpf_insn insns[] = {
		{.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0},
		{.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 1, .src_reg = 2,
		 .off = offsetof(struct __sk_buff, tc_index)},
		{.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 2, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map},
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

static double run(int prog_fd, int runs)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = runs);

	if (bpf_prog_test_run_opts(prog_fd, &o))
		DIE("BPF_PROG_TEST_RUN: %s", strerror(errno));
	return o.duration;
}

struct measured {
	const char *name, *what;
	void (*set)(void), (*unset)(void);
	double best;
};

int main(int argc, char **argv)
{
	struct measured c[] = {
		{"empty", "an empty program", NULL, NULL, 1e9},
		{"idle", "no rule anywhere", NULL, NULL, 1e9},
		{"other_1", "a rule, on another target", fault_none, unfault_none, 1e9},
		{"other_10k", "10,000 rules, on other targets", fault_10k, unfault_10k, 1e9},
		{"lost", "loss 100%: the packet is lost", fault_lost, unfault_lost, 1e9},
		{"loss", "loss 10%", fault_loss, unfault_loss, 1e9},
		{"correlated", "loss 10% 25%", fault_correlated, unfault_correlated, 1e9},
		{"gemodel", "loss gemodel 1% 10%", fault_gemodel, unfault_gemodel, 1e9},
		{"delay", "delay 50ms 10ms distribution normal", fault_delay, unfault_delay, 1e9},
		{"all", "loss, delay, duplicate, reorder and rate", fault_all, unfault_all, 1e9},
	};
	const int n = sizeof(c) / sizeof(*c);
	struct ethhdr *eth = (void *)packet;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);
	int rounds = 9, runs = 200000, opt, empty, egress;
	struct sq_cfg cfg = {.abi_version = SQ_ABI_VERSION, .lane = SQ_LANE_TAP, .trace_every = 1};
	struct sq_att att = {.flags = SQ_A_HOST, .ifindex = 1, .lane_ifindex = 1, .seg_ifindex = 1};
	uint32_t zero = 0, one = 1;
	void *counters;
	bool json = false;

	while ((opt = getopt(argc, argv, "jr:n:")) != -1) {
		if (opt == 'j')
			json = true;
		else if (opt == 'r')
			rounds = atoi(optarg);
		else if (opt == 'n')
			runs = atoi(optarg);
		else
			return 2;
	}
	enter_group();
	libbpf_set_print(NULL);
	skel = squall_bpf__open_and_load();
	if (!skel)
		DIE("cannot load the programs: %s", strerror(errno));
	cfg.levels = my_level;
	cfg.lease_ns = cfg.pacer_ns = now_ns() + 3600000000000ull;
	counters = calloc(libbpf_num_possible_cpus(), sizeof(struct sq_counters));
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_att), &zero, &att, BPF_ANY);
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_counters), &one, counters, BPF_ANY);

	eth->h_proto = htons(ETH_P_IP);
	*ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = 17,
			     .tot_len = htons(sizeof(packet) - ETH_HLEN),
			     .saddr = htonl(0x0a000001), .daddr = htonl(0x0a000002)};
	*udp = (struct udphdr){.source = htons(4000), .dest = htons(1883),
			       .len = htons(sizeof(packet) - ETH_HLEN - 20)};
	empty = fresh_packet_then(empty_prog());
	egress = fresh_packet_then(bpf_program__fd(skel->progs.squall_egress));
	for (int r = 0; r < rounds; r++) {
		for (int i = 0; i < n; i++) {
			double ns;

			cfg.levels = c[i].set ? my_level : 0;
			bpf_map_update_elem(bpf_map__fd(skel->maps.sq_cfg), &zero, &cfg, BPF_ANY);
			if (c[i].set)
				c[i].set();
			ns = run(i ? egress : empty, runs);
			if (c[i].unset)
				c[i].unset();
			if (ns < c[i].best)
				c[i].best = ns;
		}
	}
	if (json)
		printf("{");
	else
		printf("%-44s %8s %12s %8s\n", "128-byte UDP packet at egress", "ns", "above empty", "x idle");
	for (int i = 0; i < n; i++) {
		if (json)
			printf("%s\"%s_ns\":%.0f", i ? "," : "", c[i].name, c[i].best);
		else
			printf("%-44s %8.0f %12.0f %8.2f\n", c[i].what, c[i].best,
			       c[i].best - c[0].best, c[i].best / c[2].best);
	}
	puts(json ? "}" : "");
	free(counters);
	squall_bpf__destroy(skel);
	return 0;
}
