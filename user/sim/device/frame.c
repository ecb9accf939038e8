// SPDX-License-Identifier: GPL-2.0-only
/* WebSocket's frames (RFC 6455, section 5): the outbox becomes one, and reading takes them off. */
#include <stdlib.h>
#include "sim/device/ws.h"

bool ws_open(const struct device *d)
{
	return d->ws && d->ws->open;
}

bool ws_closing(const struct device *d)
{
	return d->ws && d->ws->closing;
}

void ws_free(struct device *d)
{
	if (d->ws)
		free(d->ws->answer);
	free(d->ws);
	d->ws = NULL;
}

const uint8_t *ws_wrap(struct lean *ln, struct device *d, uint32_t *len)
{
	uint32_t n = *len, head = n < 126 ? 6 : n < 65536 ? 8 : 14;
	uint64_t random = sim_rand(&d->rng);
	uint8_t *to, mask[4];

	if (!ln->frame)
		ln->frame = malloc(SIM_TX_CAP + 16);
	to = ln->frame;
	if (!to)
		return NULL;
	memcpy(mask, &random, 4);
	to[0] = (uint8_t)(0x80 | (ln->ws_op ? ln->ws_op : OP_BINARY));
	ln->ws_op = 0;
	to[1] = (uint8_t)(0x80 | (n < 126 ? n : n < 65536 ? 126 : 127));
	for (uint32_t i = 2; i < head - 4; i++)
		to[i] = (uint8_t)((uint64_t)n >> 8 * (head - 5 - i));
	memcpy(to + head - 4, mask, 4);
	for (uint32_t i = 0; i < n; i++)
		to[head + i] = ln->tx[i] ^ mask[i & 3];
	*len = n + head;
	return to;
}

/* A frame's head is there: what it announces. False: not in this protocol. */
static bool begin_frame(struct ws *w)
{
	uint8_t op = w->head[0] & 15, n = w->head[1] & 127, bytes = n == 126 ? 2 : n == 127 ? 8 : 0;

	w->left = n < 126 ? n : 0;
	for (unsigned i = 0; i < bytes; i++)
		w->left = w->left << 8 | w->head[2 + i];
	w->op = op;
	w->nhead = 0;
	/* No extension was agreed on; a server does not mask; MQTT is binary. */
	if (w->head[0] & 0x70 || w->left >> 63)
		return false;
	if (op >= OP_CLOSE)
		return op <= OP_PONG && w->left <= 125 && w->head[0] & 0x80 &&
		       (op != OP_CLOSE || w->left != 1);
	/* A message's frames follow each other: none begins within another, none goes on that is
	 * over. */
	if ((op != OP_MORE && op != OP_BINARY) || w->more != (op == OP_MORE))
		return false;
	w->more = !(w->head[0] & 0x80);
	return true;
}

size_t ws_frames(struct device *d, const uint8_t *p, size_t n, uint8_t **to, bool *control)
{
	struct ws *w = d->ws;
	size_t i = 0;

	*control = false;
	while (i < n && !d->fail && !*control) {
		size_t take = n - i < w->left ? n - i : (size_t)w->left;
		unsigned need;

		if (w->left) {
			if (w->op < OP_CLOSE) {
				memmove(*to, p + i, take);
				*to += take;
			} else {
				memcpy(w->control + w->ncontrol, p + i, take);
				w->ncontrol += (uint8_t)take;
			}
			i += take;
			w->left -= take;
			*control = !w->left && w->op >= OP_CLOSE;
			continue;
		}
		w->head[w->nhead++] = p[i++];
		if (w->nhead < 2)
			continue;
		need = 2 + ((w->head[1] & 127) == 126 ? 2 : (w->head[1] & 127) == 127 ? 8 : 0);
		/* A server does not mask. */
		if (w->head[1] & 0x80 || (w->nhead == need && !begin_frame(w)))
			dev_fail(d, F_PROTOCOL, PROTO_WS);
		else if (!w->nhead)
			*control = !w->left && w->op >= OP_CLOSE;
	}
	return i;
}
