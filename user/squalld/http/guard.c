// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may ask. Three dangers, three checks:
 *
 *   somebody on the network     a bearer token, demanded on every address but
 *                               loopback, compared by digest in constant time
 *   a page of another origin    Origin and Sec-Fetch-Site: browsers set them,
 *                               pages cannot
 *   DNS rebinding               a page whose name now points at 127.0.0.1 is
 *                               same-origin with us, but its Host is a name;
 *                               ours are IP addresses, localhost and
 *                               --allow-host. A request that bears the token
 *                               did not come from such a page.
 *
 * The unix socket is guarded by its mode.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "squalld/http/http.h"

#define TOKEN_MIN 16
#define TOKEN_MAX 512

struct guard {
	const struct options *opt;
	pthread_mutex_t lock;
	bool has_token;
	unsigned char digest[SHA256_DIGEST_LENGTH];
};

static int read_token(const char *path, unsigned char *ret_digest, char *err, size_t size)
{
	char buf[TOKEN_MAX + 2];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	size_t len;

	if (fd < 0) {
		int rc = -errno;

		snprintf(err, size, "--token-file: cannot read %.200s: %s", path, strerror(-rc));
		return rc;
	}
	n = read(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n < 0)
		n = 0;
	buf[n] = 0;
	len = strcspn(buf, "\r\n");
	if (len < TOKEN_MIN || len > TOKEN_MAX || strlen(buf) < len) {
		snprintf(err, size,
			 "--token-file: the first line of %.200s must have %d to %d characters; "
			 "try: openssl rand -hex 32 > %.200s",
			 path, TOKEN_MIN, TOKEN_MAX, path);
		OPENSSL_cleanse(buf, sizeof(buf));
		return -EINVAL;
	}
	SHA256((unsigned char *)buf, len, ret_digest);
	OPENSSL_cleanse(buf, sizeof(buf));
	return 0;
}

int guard_reload(struct guard *g, char *err, size_t size)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	int rc;

	if (!g->opt->token_file)
		return 0;
	rc = read_token(g->opt->token_file, digest, err, size);
	if (rc < 0)
		return rc; /* the old token stays */
	pthread_mutex_lock(&g->lock);
	memcpy(g->digest, digest, sizeof(digest));
	g->has_token = true;
	pthread_mutex_unlock(&g->lock);
	return 0;
}

int guard_new(const struct options *opt, struct guard **ret, char *err, size_t size)
{
	struct guard *g = calloc(1, sizeof(*g));
	int rc;

	if (!g) {
		snprintf(err, size, "out of memory");
		return -ENOMEM;
	}
	g->opt = opt;
	pthread_mutex_init(&g->lock, NULL);
	rc = guard_reload(g, err, size);
	if (rc < 0)
		guard_free(g);
	else
		*ret = g;
	return rc;
}

void guard_free(struct guard *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static bool token_matches(struct guard *g, const char *header)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	bool same;

	if (!header || strncasecmp(header, "Bearer ", 7) != 0)
		return false;
	header += 7 + strspn(header + 7, " ");
	/* Digests have one length, so neither the token's nor a common prefix's shows in the time.
	 */
	SHA256((const unsigned char *)header, strlen(header), digest);
	pthread_mutex_lock(&g->lock);
	same = CRYPTO_memcmp(digest, g->digest, sizeof(digest)) == 0;
	pthread_mutex_unlock(&g->lock);
	return same;
}

/* "name", "name:port", "1.2.3.4:80", "[::1]:80" -> the name alone. */
static bool host_name(const char *host, char *buf, size_t size)
{
	size_t n;

	if (*host == '[') {
		n = strcspn(++host, "]");
		if (host[n] != ']')
			return false;
	} else {
		n = strcspn(host, ":");
	}
	if (!n || n >= size)
		return false;
	memcpy(buf, host, n);
	buf[n] = 0;
	return true;
}

static bool host_accepted(const struct options *opt, const char *host)
{
	unsigned char addr[16];
	char name[256];

	if (!host || !host_name(host, name, sizeof(name)))
		return false;
	if (strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, addr) == 1 ||
	    inet_pton(AF_INET6, name, addr) == 1)
		return true;
	for (size_t i = 0; i < opt->n_allow_host; i++)
		if (strcasecmp(opt->allow_host[i], name) == 0)
			return true;
	return false;
}

unsigned int guard_check(struct guard *g, struct request *r, bool is_public, const char **ret_why)
{
	const char *origin, *site, *host;
	bool bears = false;

	if (r->local)
		return 0;
	origin = request_header(r, "Origin");
	host = request_header(r, "Host");
	if (origin) {
		const char *authority = strstr(origin, "://");

		if (!authority || !host || strcasecmp(authority + 3, host) != 0) {
			*ret_why = "Origin: a page of another origin may not use this API";
			return MHD_HTTP_FORBIDDEN;
		}
	}
	site = request_header(r, "Sec-Fetch-Site");
	if (site && strcmp(site, "cross-site") == 0 && strcmp(r->method, "GET") != 0) {
		*ret_why = "Sec-Fetch-Site: a page of another site may not use this API";
		return MHD_HTTP_FORBIDDEN;
	}
	if (g->has_token) {
		bears = token_matches(g, request_header(r, "Authorization"));
		if (!bears && !is_public) {
			*ret_why = "Authorization: a valid \"Bearer TOKEN\" is required";
			return MHD_HTTP_UNAUTHORIZED;
		}
	}
	if (!bears && !is_public && !host_accepted(g->opt, host)) {
		*ret_why = "Host: accepted are IP addresses, localhost, and names given with "
			   "--allow-host";
		return MHD_HTTP_FORBIDDEN;
	}
	return 0;
}
