// SPDX-License-Identifier: GPL-2.0-only
/*
 * MQTT over WebSocket (RFC 6455; MQTT 5.0 section 6: binary frames, subprotocol "mqtt").
 * The outbox's bytes leave as one masked frame a write; what is read loses its frames
 * before packets are looked for, so that nothing above knows of them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include "lib/text.h"
#include "sim/device/ws.h"
#include "sim/fleet/sigv4.h"

#define WS_HEAD_MAX 16384 /* of the answer to the upgrade */

static int lost(struct lean *ln, struct device *d, enum sim_fail kind, uint32_t detail,
		const char *note)
{
	if (!d->fail && note)
		snprintf(ln->note, sizeof(ln->note), "%s", note);
	dev_fail(d, kind, detail);
	return -1;
}

/* --- the upgrade ----------------------------------------------------------------- */

static size_t base64(char *to, const uint8_t *p, int n)
{
	return (size_t)EVP_EncodeBlock((unsigned char *)to, p, n);
}

/* What a template makes, and no more than that: a device's name may not begin another header. */
static long line_of(const struct sim_tmpl *t, struct sim_tmpl_ctx *c, char *to, size_t cap,
		    long (*bad)(const char *s, size_t n))
{
	long n = sim_tmpl_render(t, c, to, cap);

	return n < 0 || bad(to, (size_t)n) >= 0 ? -1 : n;
}

int ws_hello(struct lean *ln, struct device *d)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	struct stype *ty = type_of(ln, d);
	struct sim_tmpl_ctx c = names_of(ty, d);
	const struct sim_host *other = d->x ? d->x->redirect : NULL;
	uint64_t nonce[2] = {sim_rand(&d->rng), sim_rand(&d->rng)};
	char key[80], path[SIM_SIGNED_MAX], host[300];
	uint8_t digest[SHA_DIGEST_LENGTH];
	size_t cap, at;
	char *to;
	long n;
	int rc;

	ws_free(d);
	d->ws = calloc(1, sizeof(*d->ws));
	to = (char *)out_room(ln, 32768, &cap);
	if (!d->ws || !to)
		return lost(ln, d, F_MEMORY, 0, NULL);
	base64(key, (uint8_t *)nonce, sizeof(nonce));
	n = line_of(ty->path, &c, path, SIM_PATH_MAX, sim_path_bad);
	if (n < 0)
		return lost(ln, d, F_UPGRADE, 0, "the path is too long or has a blank or the like");
	path[n] = 0;
	sim_host_header(other ? sim_host_name(other) : ty->p.host,
			other ? sim_host_port(other) : ty->p.port, ty->p.tls, host, sizeof(host));
	rc = *ty->p.sigv4 ? sim_sigv4(path, sizeof(path), host, ty->p.sigv4, time(NULL)) : 0;
	if (rc)
		return lost(ln, d, F_UPGRADE, 0, sim_sigv4_why(rc));
	at = (size_t)snprintf(to, cap,
			      "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
			      "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
			      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n",
			      path, host, key);
	for (unsigned i = 0; i < ty->p.nws_headers; i++) {
		n = line_of(ty->ws_header[i], &c, to + at, cap - at - 4, sim_header_bad);
		if (n < 0)
			return lost(ln, d, F_UPGRADE, 0,
				    "a header is too long or has a control character");
		at += (size_t)n;
		memcpy(to + at, "\r\n", 2);
		at += 2;
	}
	memcpy(to + at, "\r\n", 2);
	out_wrote(ln, (long)at + 2);
	strcat(key, guid);
	SHA1((unsigned char *)key, strlen(key), digest);
	base64(d->ws->accept, digest, sizeof(digest));
	return 1;
}

/* The value of a header of the answer; NULL: it has none. Ends at its line's end. */
static const char *header(const char *answer, const char *name, size_t *ret_len)
{
	size_t n = strlen(name);

	for (const char *at = strstr(answer, "\r\n"); at && at[2] != '\r';
	     at = strstr(at + 2, "\r\n")) {
		const char *v = at + 2 + n;

		if (strncasecmp(at + 2, name, n) || *v != ':')
			continue;
		v += 1 + strspn(v + 1, " \t");
		*ret_len = strcspn(v, "\r\n");
		while (*ret_len && strchr(" \t", v[*ret_len - 1]))
			--*ret_len;
		return v;
	}
	return NULL;
}

/* A comma's list has the word, in whichever of the headers of this name. */
static bool lists(const char *answer, const char *name, const char *word)
{
	size_t n, len = strlen(word);
	const char *v;

	while ((v = header(answer, name, &n))) {
		for (const char *end = v + n, *at = v; at < end; at += strcspn(at, ",") + 1) {
			at += strspn(at, " \t");
			if (!strncasecmp(at, word, len) && strchr(", \t\r", at[len]))
				return true;
		}
		/* The next one begins at this one's line end. */
		answer = v + n;
	}
	return false;
}

static bool says(const char *answer, const char *name, const char *want, bool exact)
{
	size_t n = 0;
	const char *v = header(answer, name, &n);

	return v && n == strlen(want) && (exact ? !memcmp(v, want, n) : !strncasecmp(v, want, n));
}

/* 0, or -1 with the connection lost and the reason in words. */
static int judge(struct lean *ln, struct device *d)
{
	const char *a = d->ws->answer;
	const char *to;
	char note[SIM_NOTE];
	unsigned status = 0;
	size_t n;

	if (strncmp(a, "HTTP/1.1 ", 9) || sscanf(a + 9, "%3u", &status) != 1)
		return lost(ln, d, F_UPGRADE, 0, "the answer is not HTTP/1.1");
	if (status != 101) {
		/* What the server says besides, as far as it is text. */
		to = status / 100 == 3 ? header(a, "Location", &n) : NULL;
		text_shown(note, to ? 26 : 61, a + 9, strcspn(a + 9, "\r\n"));
		/* Not followed: whoever asked should know where it is. */
		if (to) {
			strcat(note, " to ");
			text_shown(note + strlen(note), sizeof(note) - strlen(note), to, n);
		}
		return lost(ln, d, F_UPGRADE, status, note);
	}
	if (!says(a, "Upgrade", "websocket", false) || !lists(a, "Connection", "upgrade"))
		return lost(ln, d, F_UPGRADE, 0, "the answer upgrades to nothing");
	if (header(a, "Sec-WebSocket-Extensions", &n) && n)
		return lost(ln, d, F_UPGRADE, 0,
			    "the server uses an extension, and none was asked for");
	if (!says(a, "Sec-WebSocket-Accept", d->ws->accept, true))
		return lost(ln, d, F_UPGRADE, 0, "Sec-WebSocket-Accept is not the key's");
	if (!says(a, "Sec-WebSocket-Protocol", "mqtt", false))
		return lost(ln, d, F_UPGRADE, 0, "the server does not speak the subprotocol mqtt");
	return 0;
}

int ws_upgrade(struct lean *ln, struct device *d)
{
	struct ws *w = d->ws;
	char *end, *grown;
	uint32_t rest;
	long n;

	for (;;) {
		n = io_read(ln, d, ln->rx, WS_HEAD_MAX);
		if (n <= 0)
			return n < 0 ? -1 : 1;
		if (w->nanswer + n > 2 * WS_HEAD_MAX)
			return lost(ln, d, F_UPGRADE, 0, "the answer is longer than 32 KiB");
		grown = realloc(w->answer, w->nanswer + (size_t)n + 1);
		if (!grown)
			return lost(ln, d, F_MEMORY, 0, NULL);
		w->answer = grown;
		memcpy(grown + w->nanswer, ln->rx, (size_t)n);
		w->nanswer += (uint32_t)n;
		grown[w->nanswer] = 0;
		end = strstr(grown, "\r\n\r\n");
		if (end)
			break;
		/* Edge-triggered: only an empty socket ends the reading. */
	}
	if (judge(ln, d))
		return -1;
	w->open = true;
	/* A server says nothing before CONNECT, but if it does, the frames begin here. */
	rest = w->nanswer - (uint32_t)(end + 4 - w->answer);
	n = rest ? ws_unwrap(ln, d, (uint8_t *)end + 4, rest) : 0;
	if (n > 0) {
		d->in = malloc((size_t)n);
		if (!d->in)
			return lost(ln, d, F_MEMORY, 0, NULL);
		memcpy(d->in, end + 4, (size_t)n);
		d->in_len = (uint32_t)n;
	}
	free(w->answer);
	w->answer = NULL;
	return n < 0 ? -1 : 0;
}

/* --- frames of its own ------------------------------------------------------------ */

static void send_control(struct lean *ln, struct device *d, uint8_t op, const uint8_t *p, size_t n)
{
	uint8_t *to;
	size_t cap;

	/* A frame of its own, behind what waits. */
	out_flush(ln);
	to = out_room(ln, 128, &cap);
	if (!to || d->fail)
		return;
	memcpy(to, p, n);
	out_wrote(ln, (long)n);
	ln->ws_op = op;
	/* An empty one is a frame, too. */
	out_flush_frame(ln);
}

static void control(struct lean *ln, struct device *d)
{
	struct ws *w = d->ws;

	if (w->op == OP_PING) {
		send_control(ln, d, OP_PONG, w->control, w->ncontrol);
	} else if (w->op == OP_CLOSE) {
		if (w->ncontrol >= 2) {
			int n = snprintf(ln->note, sizeof(ln->note), "WebSocket close %u%s",
					 (unsigned)(w->control[0] << 8 | w->control[1]),
					 w->ncontrol > 2 ? ": " : "");

			text_shown(ln->note + n, sizeof(ln->note) - (size_t)n,
				   (char *)w->control + 2, (size_t)w->ncontrol - 2);
		}
		send_control(ln, d, OP_CLOSE, w->control, w->ncontrol >= 2 ? 2 : 0);
		/* What came before it is still read. */
		w->closing = d->ended = true;
	}
	w->ncontrol = 0;
}

long ws_unwrap(struct lean *ln, struct device *d, uint8_t *p, size_t n)
{
	uint8_t *to = p;
	size_t at = 0;
	bool own;

	while (at < n && !d->fail && !d->ws->closing) {
		at += ws_frames(d, p + at, n - at, &to, &own);
		if (own)
			control(ln, d);
	}
	return d->fail ? -1 : to - p;
}
