/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SQUALLD_NOTIFY_H
#define SQUALLD_NOTIFY_H

/*
 * Tells the service manager, where there is one that asked, of a change:
 * "READY=1", "STOPPING=1" (sd_notify(3)). Without $NOTIFY_SOCKET nothing is said.
 */
void notify_manager(const char *state);

#endif
