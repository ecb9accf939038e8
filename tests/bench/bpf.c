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

#include "bpf_lab.h"

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

static void fault_none(void)
{
	others(1);
}
static void unfault_none(void)
{
	no_others(1);
}
static void fault_10k(void)
{
	others(10000);
}
static void unfault_10k(void)
{
	no_others(10000);
}
#define FAULT(name, text)                                                                          \
	static void fault_##name(void)                                                             \
	{                                                                                          \
		set_rule(my_id, text);                                                             \
	}                                                                                          \
	static void unfault_##name(void)                                                           \
	{                                                                                          \
		del_rule(my_id);                                                                   \
	}
FAULT(lost, "up loss 100%")
FAULT(loss, "up loss 10%")
FAULT(correlated, "up loss 10% 25%")
FAULT(gemodel, "up loss gemodel 1% 10%")
FAULT(delay, "up delay 50ms 10ms distribution normal")
FAULT(all, "up loss 1% 25% delay 50ms 10ms distribution normal duplicate 1% reorder 1% rate 1gbit")

static double run(int prog_fd, int runs)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = PACKET_SIZE,
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
	int rounds = 9, runs = 200000, opt, empty, egress;
	uint32_t zero = 0;
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
	bpf_lab_open();
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
		printf("%-44s %8s %12s %8s\n", "128-byte UDP packet at egress", "ns", "above empty",
		       "x idle");
	for (int i = 0; i < n; i++) {
		if (json)
			printf("%s\"%s_ns\":%.0f", i ? "," : "", c[i].name, c[i].best);
		else
			printf("%-44s %8.0f %12.0f %8.2f\n", c[i].what, c[i].best,
			       c[i].best - c[0].best, c[i].best / c[2].best);
	}
	puts(json ? "}" : "");
	squall_bpf__destroy(skel);
	return 0;
}
