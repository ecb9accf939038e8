/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counter-based random numbers: draw n of a rule is a hash of (seed, n, what
 * for), so decision n is the same whichever CPU takes it, and any run can be
 * repeated from the seed that `fault show` prints. bpf_get_prandom_u32() can
 * be neither seeded nor repeated. The mixer is SplitMix64's finaliser
 * (Steele, Lea, Flood, OOPSLA 2014).
 */
#ifndef SQUALL_BPF_RANDOM_H
#define SQUALL_BPF_RANDOM_H

#include <vmlinux.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>
#include <squall/abi.h>

enum draw {
	DRAW_LOSS,
	DRAW_LOSS2,
	DRAW_DUP,
	DRAW_CORRUPT,
	DRAW_WHERE,
	DRAW_REORDER,
	DRAW_DELAY,
	DRAWS
};

static __always_inline __u64 draw64(__u64 seed, __u64 n, __u32 what)
{
	__u64 z = seed + (n * DRAWS + what + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/*
 * With probability corr the previous packet's number again, else a fresh one.
 * That keeps the asked rate, and P(hit|hit) = p + corr(1-p); netem's weighted
 * average narrows the distribution instead (DESIGN: 5 % with 25 % becomes
 * 0.19 %). Walks back to the last fresh draw, so it needs no state that CPUs
 * would race for. Global, so that the verifier looks at the loop once.
 */
__noinline __u32 draw_correlated(__u64 seed, __u64 n, __u32 what, __u32 corr)
{
	__u64 z = 0;

	for (int i = 0; i < 128; i++) {
		z = draw64(seed, n, what);
		if ((__u32)(z >> 32) >= corr || n == 0)
			break;
		n--;
	}
	return (__u32)z;
}

/* The same, with no call where nothing is correlated. */
static __always_inline __u32 draw(__u64 seed, __u64 n, __u32 what, __u32 corr)
{
	return corr ? draw_correlated(seed, n, what, corr) : (__u32)draw64(seed, n, what);
}

static __always_inline bool hit(__u32 random, __u32 fraction)
{
	return fraction == SQ_ALWAYS || random < fraction;
}

#endif
