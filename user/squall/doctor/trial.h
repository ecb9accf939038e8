/* SPDX-License-Identifier: GPL-2.0-only */
/* Trials of the kernel in a network namespace of a process of their own: nothing stays. */
#ifndef SQUALL_DOCTOR_TRIAL_H
#define SQUALL_DOCTOR_TRIAL_H

enum trial {
	TRIAL_VETH,   /* a pair of virtual interfaces */
	TRIAL_CLSACT, /* where programs attach */
	TRIAL_FQ,     /* packets wait in the kernel */
	TRIAL_TAP,    /* packets wait in squalld */
	TRIAL_N,
};

/* ret[i]: 0, or the negative errno of trial i. Returns 0, or why none could be tried: -EPERM
 * where one must be root. */
int trials(int ret[TRIAL_N]);

#endif
