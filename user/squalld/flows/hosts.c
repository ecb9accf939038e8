// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <bpf/bpf.h>
#include <squall/abi.h>
#include "squalld/flows/hosts.h"

uint32_t hosts_sweep(int hosts_fd, int targets_fd, uint64_t now)
{
	struct sq_host_key key, next;
	struct sq_host_seen seen;
	struct sq_target target;
	bool more = !bpf_map_get_next_key(hosts_fd, NULL, &next);
	uint32_t left = 0;

	/* Whom another CPU deletes under us is begun from anew: bounded by what there can be. */
	for (uint32_t i = 0; more && i < 2 * SQ_HOSTS; i++) {
		key = next;
		more = !bpf_map_get_next_key(hosts_fd, &key, &next);
		if (bpf_map_lookup_elem(hosts_fd, &key, &seen))
			continue;
		if (now > seen.last_ns + SQ_HOST_IDLE_NS ||
		    bpf_map_lookup_elem(targets_fd, &key.target, &target))
			bpf_map_delete_elem(hosts_fd, &key);
		else
			left++;
	}
	return left;
}
