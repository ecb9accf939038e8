// SPDX-License-Identifier: GPL-2.0-only
/* A connection's WebSocket: what frame.c and ws.c share. */
#ifndef SQUALL_SIM_WS_H
#define SQUALL_SIM_WS_H

#include "sim/device/lean.h"

enum { OP_MORE, OP_TEXT, OP_BINARY, OP_CLOSE = 8, OP_PING, OP_PONG };

struct ws {
	bool open, closing;
	bool more; /* the message of the last data frame goes on in another */
	/* the frame being read */
	uint8_t head[10], nhead, op, ncontrol, control[125];
	uint64_t left;
	/* the handshake */
	char accept[32], *answer;
	uint32_t nanswer;
};

/*
 * Reads frames from p, n bytes, and appends what they carry of MQTT at *to, which may lie
 * in p. Ends behind a frame of WebSocket's own, told in *control. Returns the bytes used.
 */
size_t ws_frames(struct device *d, const uint8_t *p, size_t n, uint8_t **to, bool *control);

#endif
