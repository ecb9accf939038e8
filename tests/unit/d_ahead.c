// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is lost of a GSO packet is what would be lost of its packets: the same ones, whether it
 * is cut, or nothing strikes and it passes whole. By BPF_PROG_TEST_RUN, with the same seed once
 * packet by packet and once in GSO packets of all sizes, whose pieces go through squall_seg_in as
 * the kernel would bring them. Skipped without root.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include "../bpf_lab.h"

#define N 20000

static bool ready;
static uint8_t apart[N], batched[N]; /* lost */
static struct {
	int whole, cut;
} seen;

static const struct {
	const char *rule;
	bool looks_ahead;
} rules[] = {
	{"up loss 2%", true},
	{"up loss 2% 25%", true},
	{"up loss 1% 95%", true},
	{"up loss gemodel 0.5% 20% 80% 0.1%", true},
	{"up loss state 0.5% 20% 5% 50% 0.2%", true},
	{"up duplicate 2% loss 1%", true},
	{"up loss 1% corrupt 1%", true},
	{"up loss 0.1% delay 1ms", true},
	{"up loss 2% rate 100gbit", false},
	{"up loss 2% reorder 5% delay 1ms", false},
	{"up loss 2% delay 1ms 1ms", false},
	{"up loss 2% mtu 1000", false},
	{"up loss 100%", true},
};

static int run(int prog, struct __sk_buff *skb, uint32_t segs)
{
	struct __sk_buff in = {.gso_segs = segs > 1 ? segs : 0, .gso_size = segs > 1 ? 1 : 0};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = PACKET_SIZE,
		    .ctx_in = &in, .ctx_size_in = sizeof(in), .ctx_out = skb,
		    .ctx_size_out = sizeof(*skb), .repeat = 1);

	memcpy(in.cb, skb->cb, sizeof(in.cb));
	assert_int_equal(bpf_prog_test_run_opts(prog, &o), 0);
	return (int)o.retval;
}

static bool is_ticket(const struct __sk_buff *skb)
{
	return skb->cb[2] == 0x53515347; /* CB_SEG of bpf/lane.h */
}

/* Judges n packets, as `segs` in one, and fills in lost[]. */
static void send_one(uint32_t segs, uint8_t *lost)
{
	int egress = bpf_program__fd(skel->progs.squall_egress), left, verdict;
	int back = bpf_program__fd(skel->progs.squall_seg_in);
	struct __sk_buff skb = {0};

	verdict = run(egress, &skb, segs);
	if (verdict != TC_ACT_REDIRECT || !is_ticket(&skb)) {
		seen.whole += segs > 1;
		memset(lost, verdict == TC_ACT_STOLEN, segs);
		return;
	}
	seen.cut += segs > 1;
	for (left = segs; left--; lost++) {
		struct __sk_buff piece = skb;

		*lost = run(back, &piece, 1) == TC_ACT_STOLEN;
	}
}

static void counted(struct sq_counters *ret)
{
	int cpus = libbpf_num_possible_cpus();
	struct sq_counters *all = calloc(cpus, sizeof(*all));
	uint32_t one = 1;

	memset(ret, 0, sizeof(*ret));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(skel->maps.sq_counters), &one, all), 0);
	for (int i = 0; i < cpus; i++) {
		ret->seen_pkts += all[i].seen_pkts;
		ret->lost_pkts += all[i].lost_pkts;
		ret->duplicated_pkts += all[i].duplicated_pkts;
		ret->corrupted_pkts += all[i].corrupted_pkts;
	}
	memset(all, 0, cpus * sizeof(*all));
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_counters), &one, all, BPF_ANY);
	free(all);
}

static void same_packets(void **state)
{
	static const uint32_t sizes[] = {1, 44, 2, 64, 1, 17, 100, 3, 44, 44};
	struct tcphdr *tcp = (void *)(packet + ETH_HLEN + sizeof(struct iphdr));
	struct iphdr *ip = (void *)(packet + ETH_HLEN);

	(void)state;
	if (!ready)
		skip();
	ip->protocol = IPPROTO_TCP;
	memset(tcp, 0, sizeof(*tcp));
	tcp->source = htons(4000);
	tcp->dest = htons(1883);
	tcp->doff = 5;
	for (size_t r = 0; r < sizeof(rules) / sizeof(*rules); r++) {
		struct sq_counters one_by_one, together;
		uint32_t n = 0;

		set_rule(my_id, rules[r].rule);
		for (int i = 0; i < N; i++)
			send_one(1, &apart[i]);
		counted(&one_by_one);
		set_rule(my_id, rules[r].rule);
		memset(&seen, 0, sizeof(seen));
		for (size_t s = 0; n < N; s++) {
			uint32_t segs = sizes[s % (sizeof(sizes) / sizeof(*sizes))];

			segs = segs > N - n ? N - n : segs;
			send_one(segs, &batched[n]);
			n += segs;
		}
		counted(&together);
		for (int i = 0; i < N; i++)
			if (apart[i] != batched[i])
				fail_msg("%s: packet %d was %s apart, %s in a batch", rules[r].rule,
					 i, apart[i] ? "lost" : "let through",
					 batched[i] ? "lost" : "let through");
		assert_memory_equal(&one_by_one, &together, sizeof(together));
		assert_int_equal(together.seen_pkts, N);
		if (rules[r].looks_ahead == !seen.whole && strcmp(rules[r].rule, "up loss 100%"))
			fail_msg("%s: %d passed whole, %d were cut", rules[r].rule, seen.whole,
				 seen.cut);
		assert_int_not_equal(seen.cut, 0);
		del_rule(my_id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_packets),
	};
	cpu_set_t one;

	if (geteuid() == 0) {
		/* What is cut comes back on the CPU that sent it. */
		CPU_ZERO(&one);
		CPU_SET(sched_getcpu(), &one);
		sched_setaffinity(0, sizeof(one), &one);
		bpf_lab_open();
		ready = true;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
