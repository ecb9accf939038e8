// SPDX-License-Identifier: GPL-2.0-only
/*
 * {rule, packet, verdict} through the real program by BPF_PROG_TEST_RUN: what
 * is decided before any interface is involved. Skipped without root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/pkt_cls.h>
#include "../bpf_lab.h"

static const struct {
	const char *what, *rule;
	uint8_t proto;
	const char *to;
	uint16_t sport, dport;
	int verdict;
} table[] = {
	{"loss 100%", "up loss 100%", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"blackhole", "up blackhole", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"down is not up", "down loss 100%", 17, "10.0.0.2", 4000, 1883, TC_ACT_UNSPEC},
	{"delay: to the lane", "up delay 5ms", 17, "10.0.0.2", 4000, 1883, TC_ACT_REDIRECT},
	{"rate within its bucket: no wait", "up rate 1gbit", 17, "10.0.0.2", 4000, 1883,
	 TC_ACT_UNSPEC},
	{"corrupt, not this one", "up corrupt 1%", 17, "10.0.0.2", 4000, 1883, TC_ACT_UNSPEC},
	{"corrupt: through the segmenter", "up corrupt 100%", 17, "10.0.0.2", 4000, 1883,
	 TC_ACT_REDIRECT},
	{"TCP loss of what is one packet", "up loss 100%", 6, "10.0.0.2", 4000, 1883,
	 TC_ACT_STOLEN},
	{"TCP that may be overtaken: through the segmenter", "up loss 1% rate 1gbit", 6, "10.0.0.2",
	 4000, 1883, TC_ACT_REDIRECT},
	{"TCP delay: whole, to the lane", "up delay 5ms", 6, "10.0.0.2", 4000, 1883,
	 TC_ACT_REDIRECT},
	{"dport hit", "up loss 100% match dport 1883", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"dport miss", "up loss 100% match dport 1884", 17, "10.0.0.2", 4000, 1883, TC_ACT_UNSPEC},
	{"dport range, last", "up loss 100% match dport 1800-1883", 17, "10.0.0.2", 1, 1883,
	 TC_ACT_STOLEN},
	{"dport range, past it", "up loss 100% match dport 1800-1882", 17, "10.0.0.2", 1, 1883,
	 TC_ACT_UNSPEC},
	{"sport hit", "up loss 100% match sport 4000", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"port: either", "up loss 100% match port 4000", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"to hit", "up loss 100% match to 10.0.0.0/8", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"to miss", "up loss 100% match to 11.0.0.0/8", 17, "10.0.0.2", 4000, 1883, TC_ACT_UNSPEC},
	{"to /32", "up loss 100% match to 10.0.0.2", 17, "10.0.0.2", 4000, 1883, TC_ACT_STOLEN},
	{"to: IPv6 is not IPv4", "up loss 100% match to fd00::/8", 17, "10.0.0.2", 4000, 1883,
	 TC_ACT_UNSPEC},
	{"proto miss", "up loss 100% match proto tcp", 17, "10.0.0.2", 4000, 1883, TC_ACT_UNSPEC},
	{"proto icmp", "up loss 100% match proto icmp", 1, "10.0.0.2", 0, 0, TC_ACT_STOLEN},
	{"except wins", "up loss 100% except port 1883", 17, "10.0.0.2", 4000, 1883, TC_ACT_UNSPEC},
	{"most specific first", "up loss 100% also delay 1ms match dport 1883", 17, "10.0.0.2",
	 4000, 1883, TC_ACT_REDIRECT},
	{"exempt: DHCP", "up loss 100%", 17, "10.0.0.2", 68, 67, TC_ACT_UNSPEC},
	{"exempt unless named", "up loss 100% match dport 67", 17, "10.0.0.2", 68, 67,
	 TC_ACT_STOLEN},
	{"exempt: instance metadata", "up blackhole", 6, "169.254.169.254", 4000, 80,
	 TC_ACT_UNSPEC},
	{"exempt: task metadata", "up blackhole", 6, "169.254.170.2", 4000, 80, TC_ACT_UNSPEC},
	{"exempt: Locust", "up blackhole", 6, "10.0.0.2", 4000, 5557, TC_ACT_UNSPEC},
	{"exempt: the control port", "up blackhole", 6, "10.0.0.2", 4080, 4000, TC_ACT_UNSPEC},
	{"5557 over UDP is nobody's", "up blackhole", 17, "10.0.0.2", 4000, 5557, TC_ACT_STOLEN},
};

static bool ready;

static int verdict(int prog_fd, uint8_t proto, const char *to, uint16_t sport, uint16_t dport)
{
	struct iphdr *ip = (void *)(packet + ETH_HLEN);
	uint16_t *ports = (void *)(ip + 1);
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = PACKET_SIZE,
		    .repeat = 1);

	ip->protocol = proto;
	inet_pton(AF_INET, to, &ip->daddr);
	ports[0] = htons(sport);
	ports[1] = htons(dport);
	packet[ETH_HLEN + 20 + 12] = 5 << 4;
	assert_int_equal(bpf_prog_test_run_opts(prog_fd, &o), 0);
	return (int)o.retval;
}

static void verdicts(void **state)
{
	int fd;

	(void)state;
	if (!ready)
		skip();
	fd = bpf_program__fd(skel->progs.squall_egress);
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		int got;

		set_rule(my_id, table[i].rule);
		got = verdict(fd, table[i].proto, table[i].to, table[i].sport, table[i].dport);
		if (got != table[i].verdict)
			fail_msg("%s: verdict %d, wanted %d", table[i].what, got, table[i].verdict);
		del_rule(my_id);
		got = verdict(fd, table[i].proto, table[i].to, table[i].sport, table[i].dport);
		assert_int_equal(got, TC_ACT_UNSPEC);
	}
}

/* Other people's packets: of no protocol of ours, cut short, of another cgroup. */
static void left_alone(void **state)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = PACKET_SIZE,
		    .repeat = 1);
	struct ethhdr *eth = (void *)packet;
	int fd;

	(void)state;
	if (!ready)
		skip();
	fd = bpf_program__fd(skel->progs.squall_egress);
	set_rule(my_id, "up blackhole");
	eth->h_proto = htons(ETH_P_ARP);
	assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
	assert_int_equal((int)o.retval, TC_ACT_UNSPEC);
	eth->h_proto = htons(ETH_P_IP);
	o.data_size_in = ETH_HLEN + 12;
	bpf_prog_test_run_opts(fd, &o);
	assert_int_not_equal((int)o.retval, TC_ACT_STOLEN);
	del_rule(my_id);
	set_rule(my_id + 1000000, "up blackhole");
	assert_int_equal(verdict(fd, 17, "10.0.0.2", 1, 2), TC_ACT_UNSPEC);
	del_rule(my_id + 1000000);
}

/* Expired, or of a squalld that is gone: the rule does not act. */
static void not_in_force(void **state)
{
	uint32_t zero = 0;
	uint64_t lease;
	int fd;

	(void)state;
	if (!ready)
		skip();
	fd = bpf_program__fd(skel->progs.squall_egress);
	rule_expires_ns = now_ns() - 20000000; /* the data path may look at a clock of ticks */
	set_rule(my_id, "up blackhole");
	assert_int_equal(verdict(fd, 17, "10.0.0.2", 1, 2), TC_ACT_UNSPEC);
	rule_expires_ns = now_ns() + 60000000000ull;
	set_rule(my_id, "up blackhole");
	assert_int_equal(verdict(fd, 17, "10.0.0.2", 1, 2), TC_ACT_STOLEN);
	rule_expires_ns = 0;

	lease = cfg.lease_ns;
	cfg.lease_ns = now_ns() - SQ_LEASE_NS - 20000000;
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_cfg), &zero, &cfg, BPF_ANY);
	rule_keep = false;
	set_rule(my_id, "up blackhole");
	assert_int_equal(verdict(fd, 17, "10.0.0.2", 1, 2), TC_ACT_UNSPEC);
	rule_keep = true;
	set_rule(my_id, "up blackhole");
	assert_int_equal(verdict(fd, 17, "10.0.0.2", 1, 2), TC_ACT_STOLEN);
	cfg.lease_ns = lease;
	bpf_map_update_elem(bpf_map__fd(skel->maps.sq_cfg), &zero, &cfg, BPF_ANY);
	del_rule(my_id);
}

static void waiting_is(uint32_t slot, int64_t pkts, int64_t each, int64_t pages)
{
	struct sq_waiting w;
	struct sq_lane_state lane;
	uint32_t zero = 0;

	bpf_map_lookup_elem(bpf_map__fd(skel->maps.sq_waiting), &slot, &w);
	bpf_map_lookup_elem(bpf_map__fd(skel->maps.sq_lane), &zero, &lane);
	assert_int_equal(sq_wait_pkts(w.now), pkts);
	assert_int_equal(sq_wait_bytes(w.now), pkts * each);
	assert_int_equal(lane.pages, pages);
}

/* Neither a target nor the lane gets a packet more than its bound. */
static void bounded(void **state)
{
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = PACKET_SIZE);
	const int64_t each = PACKET_SIZE + SQ_LANE_OVERHEAD;
	struct sq_lane_state lane = {.max_bytes = 1 << 20, .target_max_bytes = 10 * each}, was;
	struct sq_waiting w = {0};
	uint32_t zero = 0, one = 1;
	int fd, lanes, slots;

	(void)state;
	if (!ready)
		skip();
	fd = fresh_packet_then(bpf_program__fd(skel->progs.squall_egress));
	lanes = bpf_map__fd(skel->maps.sq_lane);
	slots = bpf_map__fd(skel->maps.sq_waiting);
	bpf_map_lookup_elem(lanes, &zero, &was);
	bpf_map_update_elem(slots, &one, &w, BPF_ANY);
	bpf_map_update_elem(lanes, &zero, &lane, BPF_ANY);
	set_rule(my_id, "up delay 1s");
	o.repeat = 10;
	assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
	assert_int_equal((int)o.retval, TC_ACT_REDIRECT);
	o.repeat = 5;
	assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
	assert_int_equal((int)o.retval, TC_ACT_STOLEN);
	waiting_is(1, 10, each, (10 * each + 4095) / 4096);
	bpf_map_lookup_elem(lanes, &zero, &lane);
	assert_int_equal(lane.target_full_pkts, 5);
	assert_int_equal(lane.full_pkts, 0);

	/* Five pages of the lane, of which others have one. */
	lane = (struct sq_lane_state){
		.max_bytes = 5 * 4096 + 100, .target_max_bytes = 1 << 20, .pages = 1};
	bpf_map_update_elem(slots, &one, &w, BPF_ANY);
	bpf_map_update_elem(lanes, &zero, &lane, BPF_ANY);
	o.repeat = 30;
	assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
	assert_int_equal((int)o.retval, TC_ACT_STOLEN);
	waiting_is(1, 4 * 4096 / each, each, 5);
	bpf_map_lookup_elem(lanes, &zero, &lane);
	assert_int_equal(lane.full_pkts, 30 - 4 * 4096 / each);
	assert_int_equal(lane.target_full_pkts, 0);

	/* They were to leave long ago: lost on their way, and no longer in the way. */
	bpf_map_lookup_elem(slots, &one, &w);
	w.last_ns = now_ns() - SQ_LANE_DRAINED_NS;
	bpf_map_update_elem(slots, &one, &w, BPF_ANY);
	o.repeat = 2;
	assert_int_equal(bpf_prog_test_run_opts(fd, &o), 0);
	assert_int_equal((int)o.retval, TC_ACT_REDIRECT);
	waiting_is(1, 2, each, 2);
	del_rule(my_id);
	bpf_map_update_elem(lanes, &zero, &was, BPF_ANY);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verdicts),
		cmocka_unit_test(left_alone),
		cmocka_unit_test(not_in_force),
		cmocka_unit_test(bounded),
	};

	if (geteuid() == 0) {
		bpf_lab_open();
		ready = true;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
