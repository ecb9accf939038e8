// SPDX-License-Identifier: GPL-2.0-only
/*
 * A PUBLISH that is longer than the inbox: its head and the first bytes of its
 * payload are kept, where the mark of --e2e is, the rest is counted as it passes.
 */
#include <stdlib.h>
#include "sim/device/lean.h"

#define KEEP 4096u /* of the payload */

void big_free(struct device *d)
{
	if (!d->x)
		return;
	free(d->x->big);
	d->x->big = NULL;
	d->passing = false;
}

static long begin(struct lean *ln, struct device *d, const uint8_t *p, size_t n)
{
	long size = mqtt_frame_size(p, n);
	uint32_t take = n < (size_t)size ? (uint32_t)n : (uint32_t)size, keep;
	struct extra *x = dev_extra(d);
	struct mqtt_packet k;

	if (!mqtt_publish_start(type_of(ln, d)->p.version, p, n, &k) ||
	    k.payload.n < SIM_MARK_LEN) {
		/* Properties of a megabyte are nobody's. */
		if (n >= SIM_RX_MAX)
			dev_fail(d, F_MALFORMED, PROTO_MALFORMED);
		return d->fail ? -1 : 0;
	}
	keep = (uint32_t)(k.payload.p - p) + (k.payload.n < KEEP ? k.payload.n : KEEP);
	if (x)
		x->big = malloc(sizeof(*x->big) + keep);
	if (!x || !x->big) {
		dev_fail(d, F_MEMORY, 0);
		return -1;
	}
	d->passing = true;
	x->big->len = keep;
	x->big->left = (uint32_t)size - take;
	memcpy(x->big->p, p, keep);
	return take;
}

long big_take(struct lean *ln, struct device *d, const uint8_t *p, size_t n, bool *ret_whole,
	      struct mqtt_packet *ret)
{
	struct big *b;
	long took;

	*ret_whole = false;
	if (!big_passing(d)) {
		took = begin(ln, d, p, n);
		if (took <= 0)
			return took;
	} else {
		took = n < d->x->big->left ? (long)n : (long)d->x->big->left;
		d->x->big->left -= (uint32_t)took;
	}
	b = d->x->big;
	*ret_whole = !b->left && mqtt_publish_start(type_of(ln, d)->p.version, b->p, b->len, ret);
	return took;
}
