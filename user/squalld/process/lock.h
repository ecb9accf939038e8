/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One squalld per pin directory: a file in /run/squall named after it, with the process's number,
 * locked while that runs (flock(2)) and taken away at its end.
 */
#ifndef SQUALLD_LOCK_H
#define SQUALLD_LOCK_H

struct sq_error;

/* A descriptor, the caller's; or -errno: -EWOULDBLOCK, another squalld has it. */
int process_lock(const char *pin_dir, struct sq_error *err);
void process_unlock(const char *pin_dir, int fd);
/* Takes files of ended squallds away: bpffs has no lock files, so each pin directory that somebody
 * was killed with left one until the next boot. */
void process_lock_sweep(void);

#endif
