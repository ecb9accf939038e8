// SPDX-License-Identifier: GPL-2.0-only
/* Signature Version 4 for AWS IoT Core's WebSocket (query string form). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include "sim/fleet/sigv4.h"

#define DIGEST 32

void sim_host_header(const char *host, uint16_t port, bool tls, char *buf, size_t cap)
{
	bool v6 = strchr(host, ':');
	int n = snprintf(buf, cap, "%s%s%s", v6 ? "[" : "", host, v6 ? "]" : "");

	if (port != (tls ? 443 : 80))
		snprintf(buf + n, cap - (size_t)n, ":%u", port);
}

static void hex(char *to, const unsigned char *p)
{
	for (unsigned i = 0; i < DIGEST; i++)
		sprintf(to + 2 * i, "%02x", p[i]);
}

static void sha256_hex(const char *s, char *to)
{
	unsigned char d[DIGEST];

	EVP_Digest(s, strlen(s), d, NULL, EVP_sha256(), NULL);
	hex(to, d);
}

static void mac(const void *key, size_t len, const char *text, unsigned char *to)
{
	unsigned char out[DIGEST];

	HMAC(EVP_sha256(), key, (int)len, (const unsigned char *)text, strlen(text), out, NULL);
	memcpy(to, out, DIGEST);
}

/* As RFC 3986 has it: everything but letters, digits and -_.~ as %XX. */
static int escape(char *to, size_t cap, const char *s)
{
	size_t at = 0;

	for (; *s; s++) {
		bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			     (*s >= '0' && *s <= '9') || strchr("-_.~", *s);

		if (at + 4 > cap)
			return -EMSGSIZE;
		at += (size_t)sprintf(to + at, plain ? "%c" : "%%%02X", (uint8_t)*s);
	}
	to[at] = 0;
	return 0;
}

const char *sim_sigv4_why(int rc)
{
	return rc == -ENOENT ? "the environment needs AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
			     : "path, region, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or "
			       "AWS_SESSION_TOKEN is too long to be signed";
}

int sim_sigv4(char *path, size_t cap, const char *host, const char *region, time_t now)
{
	const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY"),
		   *token = getenv("AWS_SESSION_TOKEN");
	char date[20], scope[128], query[512], text[4096], digest[2 * DIGEST + 1], key[512];
	char escaped[SIM_SIGNED_MAX] = "";
	unsigned char k[DIGEST];
	struct tm tm;
	int n;

	if (!id || !*id || !secret || !*secret)
		return -ENOENT;
	gmtime_r(&now, &tm);
	strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(scope, sizeof(scope), "%.8s/%s/iotdevicegateway/aws4_request", date, region);
	snprintf(text, sizeof(text), "%s/%s", id, scope);
	if (escape(escaped, 400, text) ||
	    snprintf(query, sizeof(query),
		     "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=%s&X-Amz-Date=%s&"
		     "X-Amz-SignedHeaders=host",
		     escaped, date) >= (int)sizeof(query))
		return -EMSGSIZE;
	sha256_hex("", digest);
	if (snprintf(text, sizeof(text), "GET\n%s\n%s\nhost:%s\n\nhost\n%s", path, query, host,
		     digest) >= (int)sizeof(text))
		return -EMSGSIZE;
	sha256_hex(text, digest);
	snprintf(text, sizeof(text), "AWS4-HMAC-SHA256\n%s\n%s\n%s", date, scope, digest);
	if (snprintf(key, sizeof(key), "AWS4%s", secret) >= (int)sizeof(key))
		return -EMSGSIZE;
	date[8] = 0;
	mac(key, strlen(key), date, k);
	mac(k, DIGEST, region, k);
	mac(k, DIGEST, "iotdevicegateway", k);
	mac(k, DIGEST, "aws4_request", k);
	mac(k, DIGEST, text, k);
	hex(digest, k);
	if (token && *token && escape(escaped, sizeof(escaped), token))
		return -EMSGSIZE;
	n = (int)strlen(path);
	if (snprintf(path + n, cap - (size_t)n, "?%s&X-Amz-Signature=%s%s%s", query, digest,
		     token && *token ? "&X-Amz-Security-Token=" : "",
		     token && *token ? escaped : "") >= (int)cap - n)
		return -EMSGSIZE;
	OPENSSL_cleanse(key, sizeof(key));
	return 0;
}
