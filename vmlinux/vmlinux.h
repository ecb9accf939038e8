/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The kernel types that bpf/ uses. UAPI types have one layout on every kernel
 * and architecture, and the system's headers are the authority for them. Of the
 * kernel's own types only the members that are read stand here, and libbpf
 * moves their offsets to where the running kernel's BTF has them (CO-RE), so
 * one object serves x86-64 and arm64.
 */
#ifndef SQUALL_VMLINUX_H
#define SQUALL_VMLINUX_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
	int level;
	struct cgroup *ancestors[]; /* since 6.1 */
};

struct cgroup___before_6_1 {
	int level;
	__u64 ancestor_ids[];
};

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct sock {
	struct sock_cgroup_data sk_cgrp_data;
};

#pragma clang attribute pop

#endif
