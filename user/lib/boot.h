/* SPDX-License-Identifier: GPL-2.0-only */
/* Which boot of this kernel it is: random(4)'s boot_id, 36 letters, or "unknown". Any thread; the
 * text stays. */
#ifndef SQUALL_LIB_BOOT_H
#define SQUALL_LIB_BOOT_H

const char *sq_boot_id(void);

#endif
