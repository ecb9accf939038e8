// SPDX-License-Identifier: GPL-2.0-only
/* The ring of devices that send without pause: each gets a turn, then goes to the back. */
#include "sim/device/lean.h"

void busy_add(struct lean *ln, struct device *d)
{
	if (d->busy_next)
		return;
	d->busy_prev = ln->busy.busy_prev;
	d->busy_next = &ln->busy;
	d->busy_prev->busy_next = d;
	ln->busy.busy_prev = d;
	ln->nbusy++;
}

void busy_del(struct lean *ln, struct device *d)
{
	if (!d->busy_next)
		return;
	d->busy_prev->busy_next = d->busy_next;
	d->busy_next->busy_prev = d->busy_prev;
	d->busy_next = d->busy_prev = NULL;
	ln->nbusy--;
}
