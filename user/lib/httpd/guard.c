// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who may ask, of squalld and of squall-sim. Four dangers, four checks:
 *
 *   somebody on the network     a bearer token, demanded on every address but
 *                               loopback, compared by digest in constant time
 *   another user of the machine who made the socket at the other end; loopback
 *                               carries everybody's packets
 *   a page of another origin    Origin and Sec-Fetch-Site: browsers set them,
 *                               pages cannot
 *   DNS rebinding               a page whose name now points at 127.0.0.1 is
 *                               same-origin with us, but its Host is a name;
 *                               ours are IP addresses, localhost and those that
 *                               were allowed. A request that bears the token
 *                               did not come from such a page.
 *
 * A unix socket is guarded by its mode, and not asked about here.
 */
#include "lib/httpd/guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include "lib/hostname.h"
#include "lib/httpd/peer.h"

#define TOKEN_MIN  16
#define TOKEN_MAX  512
#define TOKENS_MAX 32

struct token {
	unsigned char digest[SHA256_DIGEST_LENGTH];
	char name[HTTPD_TOKEN_NAME]; /* "" where the file gives it none */
};

struct httpd_guard {
	struct httpd_policy policy;
	pthread_mutex_t lock; /* of the tokens */
	struct token token[TOKENS_MAX];
	size_t n_tokens;
	bool has_group;
	gid_t gid;
};

/* "TOKEN" or "TOKEN NAME". False: it is neither. */
static bool token_of_line(const char *line, size_t n, struct token *ret)
{
	const char *blank = memchr(line, ' ', n), *tab = memchr(line, '\t', n), *end = line + n,
		   *name;
	size_t len;

	if (!blank || (tab && tab < blank))
		blank = tab;
	len = blank ? (size_t)(blank - line) : n;
	for (name = line + len; name < end && (*name == ' ' || *name == '\t'); name++)
		;
	while (end > name && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	if (len < TOKEN_MIN || len > TOKEN_MAX || (size_t)(end - name) >= sizeof(ret->name))
		return false;
	for (const char *c = name; c < end; c++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-",
			    *c))
			return false;
	SHA256((const unsigned char *)line, len, ret->digest);
	memcpy(ret->name, name, (size_t)(end - name));
	ret->name[end - name] = 0;
	return true;
}

/* flags: with O_NONBLOCK a FIFO that nobody writes is empty, and nobody waits for it. */
static int read_tokens(const char *path, int flags, struct token *ret, size_t *ret_n,
		       struct sq_error *err)
{
	char buf[TOKENS_MAX * (TOKEN_MAX + HTTPD_TOKEN_NAME)];
	int fd = open(path, O_RDONLY | O_CLOEXEC | flags), rc = 0;
	unsigned int line_no = 0;
	size_t n = 0, used = 0;
	ssize_t got;

	if (fd < 0) {
		rc = -errno;
		return sq_error_set(err, rc, NULL, "--token-file: cannot read %.200s: %s", path,
				    strerror(-rc));
	}
	while (used < sizeof(buf) - 1 && (got = read(fd, buf + used, sizeof(buf) - 1 - used)) > 0)
		used += (size_t)got;
	close(fd);
	buf[used] = 0;
	for (char *line = buf; rc == 0 && *line;) {
		size_t len = strcspn(line, "\r\n");

		line_no++;
		if (len && *line != '#' &&
		    (n == TOKENS_MAX || !token_of_line(line, len, &ret[n++])))
			rc = -EINVAL;
		line += len;
		line += *line == '\r';
		line += *line == '\n';
	}
	OPENSSL_cleanse(buf, sizeof(buf));
	if (rc < 0 || !n)
		return sq_error_set(
			err, -EINVAL, NULL,
			"--token-file: line %u of %.200s is no token: %d to %d characters, then a "
			"name if you like (letters, digits, \"._@-\"), on at most %d lines; try: "
			"openssl rand -hex 32 > %.200s",
			line_no ? line_no : 1, path, TOKEN_MIN, TOKEN_MAX, TOKENS_MAX, path);
	*ret_n = n;
	return 0;
}

static void take(struct httpd_guard *g, const struct token *tokens, size_t n)
{
	pthread_mutex_lock(&g->lock);
	memcpy(g->token, tokens, n * sizeof(*tokens));
	g->n_tokens = n;
	pthread_mutex_unlock(&g->lock);
}

int httpd_guard_reload(struct httpd_guard *g, struct sq_error *err)
{
	struct token tokens[TOKENS_MAX];
	size_t n = 0;
	int rc;

	if (!g->policy.token_file)
		return 0;
	/* Later the main loop asks, which must not wait. */
	rc = read_tokens(g->policy.token_file, g->n_tokens ? O_NONBLOCK : 0, tokens, &n, err);
	if (rc == 0)
		take(g, tokens, n);
	return rc;
}

int httpd_guard_set_token(struct httpd_guard *g, const char *token, struct sq_error *err)
{
	struct token one;

	if (!token_of_line(token, strlen(token), &one))
		return sq_error_set(
			err, -EINVAL, NULL,
			"no token: %d to %d characters, then a name if you like (letters, digits, "
			"\"._@-\"); try: openssl rand -hex 32",
			TOKEN_MIN, TOKEN_MAX);
	take(g, &one, 1);
	return 0;
}

bool httpd_guard_has_token(struct httpd_guard *g)
{
	bool has;

	pthread_mutex_lock(&g->lock);
	has = g->n_tokens > 0;
	pthread_mutex_unlock(&g->lock);
	return has;
}

int httpd_guard_new(const struct httpd_policy *policy, struct httpd_guard **ret,
		    struct sq_error *err)
{
	struct httpd_guard *g = calloc(1, sizeof(*g));
	const struct group *gr;
	int rc;

	if (!g)
		return sq_error_set(err, -ENOMEM, NULL, "out of memory");
	g->policy = *policy;
	pthread_mutex_init(&g->lock, NULL);
	gr = policy->group ? getgrnam(policy->group) : NULL;
	g->has_group = gr;
	g->gid = gr ? gr->gr_gid : 0;
	rc = httpd_guard_reload(g, err);
	if (rc < 0)
		httpd_guard_free(g);
	else
		*ret = g;
	return rc;
}

void httpd_guard_free(struct httpd_guard *g)
{
	if (!g)
		return;
	pthread_mutex_destroy(&g->lock);
	free(g);
}

static bool token_matches(struct httpd_guard *g, const struct httpd_ask *ask, const char *header)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	const char *given = ask->token;
	bool found = false;

	if (header) {
		if (strncasecmp(header, "Bearer ", 7) != 0)
			return false;
		given = header + 7 + strspn(header + 7, " ");
	}
	if (!given)
		return false;
	/* Digests have one length, and all are looked at, so neither the token's nor a common
	 * prefix's nor its place shows in the time. */
	SHA256((const unsigned char *)given, strlen(given), digest);
	pthread_mutex_lock(&g->lock);
	for (size_t i = 0; i < g->n_tokens; i++) {
		bool same = CRYPTO_memcmp(digest, g->token[i].digest, sizeof(digest)) == 0;

		found |= same;
		if (same && ask->ret_name)
			memcpy(ask->ret_name, g->token[i].name, sizeof(g->token[i].name));
	}
	pthread_mutex_unlock(&g->lock);
	return found;
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

static bool host_accepted(const struct httpd_policy *p, const char *host)
{
	unsigned char addr[16];
	char name[256], asked[HOSTNAME_SIZE], allowed[HOSTNAME_SIZE];

	if (!host || !host_name(host, name, sizeof(name)))
		return false;
	if (strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, addr) == 1 ||
	    inet_pton(AF_INET6, name, addr) == 1)
		return true;
	if (!hostname_take(name, asked))
		return false;
	for (size_t i = 0; i < p->n_allow_host; i++)
		if (hostname_take(p->allow_host[i], allowed) && strcmp(allowed, asked) == 0)
			return true;
	return false;
}

static bool user_accepted(const struct httpd_guard *g, struct MHD_Connection *conn, char *why,
			  size_t size)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	char who[32] = "a peer that is gone";
	uid_t uid;

	if (info && httpd_peer_uid(info->connect_fd, &uid) == 0) {
		if (uid == 0 || (g->has_group && httpd_in_group(uid, g->gid)))
			return true;
		snprintf(who, sizeof(who), "uid %u", uid);
	}
	snprintf(why, size,
		 "%s may not use this API: accepted over loopback are root%s%.40s; join, or start "
		 "squalld with --token-file and give the token, or with --loopback open for "
		 "everybody here",
		 who, g->has_group ? " and the group " : "", g->has_group ? g->policy.group : "");
	return false;
}

static unsigned int refuse(unsigned int status, char *why, size_t size, const char *text,
			   const char *more)
{
	snprintf(why, size, "%s%s", text, more);
	return status;
}

unsigned int httpd_guard_check(struct httpd_guard *g, const struct httpd_ask *ask, char *why,
			       size_t size)
{
#define HEADER(name) MHD_lookup_connection_value(ask->conn, MHD_HEADER_KIND, name)
	const char *origin = HEADER("Origin"), *host = HEADER("Host"),
		   *site = HEADER("Sec-Fetch-Site");
	bool bears = false, has_token = httpd_guard_has_token(g);

	if (origin) {
		const char *authority = strstr(origin, "://");

		if (!authority || !host || strcasecmp(authority + 3, host) != 0)
			return refuse(MHD_HTTP_FORBIDDEN, why, size,
				      "Origin: a page of another origin may not use this API", "");
	}
	if (site && strcmp(site, "cross-site") == 0 && strcmp(ask->method, "GET") != 0)
		return refuse(MHD_HTTP_FORBIDDEN, why, size,
			      "Sec-Fetch-Site: a page of another site may not use this API", "");
	if (ask->is_public)
		return 0;
	if (has_token) {
		bears = token_matches(g, ask, HEADER("Authorization"));
		if (!bears)
			return refuse(MHD_HTTP_UNAUTHORIZED, why, size,
				      "Authorization: a valid \"Bearer TOKEN\" is required: what "
				      "this program's --token-file holds",
				      "");
	}
	if (!bears && !host_accepted(&g->policy, host))
		return refuse(MHD_HTTP_FORBIDDEN, why, size,
			      "Host: accepted are IP addresses and localhost",
			      g->policy.host_remedy);
	if (!bears && g->policy.only_group && !user_accepted(g, ask->conn, why, size))
		return MHD_HTTP_FORBIDDEN;
	return 0;
}
