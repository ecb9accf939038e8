// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much the sockets of a cgroup send and receive, whether it has a rule or
 * not. Of its own, beside the data path: a cgroup that is counted pays for
 * that, and no rule, no lane and nobody else's packet knows of it.
 *
 * Where a packet of a cgroup goes through it counts for each counted cgroup
 * above as well, as the kernel runs the programs of all of them.
 */
#include <vmlinux.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

#define ETH_HLEN 14 /* here packets have no Ethernet header; everywhere else we count it */

struct count {
	__u64 up_pkts, up_bytes, down_pkts, down_bytes;
};

/* The kernel makes one for each cgroup that the programs are attached to. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE);
	__type(key, __u64); /* cgroup id */
	__type(value, struct count);
} traffic SEC(".maps");

/* Wire packets, as of rules. */
static __always_inline __u64 packets(const struct __sk_buff *skb)
{
	return skb->gso_segs > 1 ? skb->gso_segs : 1;
}

SEC("cgroup_skb/egress")
int traffic_up(struct __sk_buff *skb)
{
	struct count *c = bpf_get_local_storage(&traffic, 0);
	__u64 n = packets(skb);

	c->up_pkts += n;
	c->up_bytes += skb->len + n * ETH_HLEN;
	return 1;
}

SEC("cgroup_skb/ingress")
int traffic_down(struct __sk_buff *skb)
{
	struct count *c = bpf_get_local_storage(&traffic, 0);
	__u64 n = packets(skb);

	c->down_pkts += n;
	c->down_bytes += skb->len + n * ETH_HLEN;
	return 1;
}
