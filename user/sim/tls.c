// SPDX-License-Identifier: GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "options.h"
#include "tls.h"
#include "tmpl.h"

/* A device's identity: parsed PEM, two pointers. */
struct identity {
	X509 *cert;
	EVP_PKEY *key;
};

struct sim_tls {
	SSL_CTX *ctx;
	const struct sim_profile *p;
	char sni[200];
	struct sim_tmpl *cert, *key; /* NULL: one on the context, or none */
	struct identity *id;
	uint32_t nid;
};

static const char *why(void)
{
	unsigned long e = ERR_peek_last_error();
	const char *s = e ? ERR_reason_error_string(e) : NULL;

	/* An unreadable file puts errno into OpenSSL's queue. */
	if (e && ERR_GET_LIB(e) == ERR_LIB_SYS)
		s = strerror(ERR_GET_REASON(e));
	ERR_clear_error();
	return s ? s : "not readable as PEM";
}

void sim_tls_free(struct sim_tls *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->nid; i++) {
		X509_free(t->id[i].cert);
		EVP_PKEY_free(t->id[i].key);
	}
	free(t->id);
	sim_tmpl_free(t->cert);
	sim_tmpl_free(t->key);
	SSL_CTX_free(t->ctx);
	free(t);
}

static int load(const char *cert_path, const char *key_path, struct identity *ret,
		struct sim_err *err)
{
	FILE *f = fopen(cert_path, "re");

	if (!f)
		return sim_bad(err, "cert '%.180s': %s", cert_path, strerror(errno));
	ret->cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	if (!ret->cert)
		return sim_bad(err, "cert '%.180s': no PEM certificate in it: %s", cert_path, why());
	f = fopen(key_path, "re");
	if (!f)
		return sim_bad(err, "key '%.180s': %s", key_path, strerror(errno));
	ret->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	if (!ret->key)
		return sim_bad(err, "key '%.180s': no PEM private key in it: %s", key_path, why());
	if (X509_check_private_key(ret->cert, ret->key) != 1) {
		ERR_clear_error();
		return sim_bad(err, "key '%.180s' does not belong to cert '%.180s'", key_path,
			       cert_path);
	}
	return 0;
}

int sim_tls_identity(struct sim_tls *t, uint32_t slot, const char *thing, const char *type,
		     uint32_t index, struct sim_err *err)
{
	struct sim_tmpl_ctx c = { .thing = thing, .client_id = thing, .type = type,
				  .index = index };
	char cert[512], key[512];
	struct identity id = { NULL, NULL };
	uint32_t want;
	long n;
	int rc;

	if (!t->cert)
		return 0;
	if (slot < t->nid && t->id[slot].cert)
		return 0;
	n = sim_tmpl_render(t->cert, &c, cert, sizeof(cert) - 1);
	if (n < 0)
		return sim_bad(err, "cert: the file name is longer than %zu bytes", sizeof(cert));
	cert[n] = 0;
	n = sim_tmpl_render(t->key, &c, key, sizeof(key) - 1);
	if (n < 0)
		return sim_bad(err, "key: the file name is longer than %zu bytes", sizeof(key));
	key[n] = 0;
	rc = load(cert, key, &id, err);
	if (rc) {
		X509_free(id.cert);
		EVP_PKEY_free(id.key);
		return rc;
	}
	if (slot >= t->nid) {
		struct identity *grown;

		want = slot + 1 > t->nid * 2 ? slot + 1 : t->nid * 2;
		grown = realloc(t->id, want * sizeof(*grown));
		if (!grown) {
			X509_free(id.cert);
			EVP_PKEY_free(id.key);
			return sim_bad(err, "cert: out of memory");
		}
		memset(grown + t->nid, 0, (want - t->nid) * sizeof(*grown));
		t->id = grown;
		t->nid = want;
	}
	t->id[slot] = id;
	return 0;
}

static int set_alpn(SSL_CTX *ctx, const char *name)
{
	unsigned char wire[80];
	size_t n = strlen(name);

	wire[0] = (unsigned char)n;
	memcpy(wire + 1, name, n);
	return SSL_CTX_set_alpn_protos(ctx, wire, (unsigned)(n + 1));
}

static int set_verify(SSL_CTX *ctx, const struct sim_profile *p, const char *name,
		      struct sim_err *err)
{
	X509_VERIFY_PARAM *param;
	unsigned char raw[16];

	if (p->insecure)
		return 0;
	if (*p->ca) {
		if (access(p->ca, R_OK))
			return sim_bad(err, "ca '%.200s': %s", p->ca, strerror(errno));
		if (SSL_CTX_load_verify_locations(ctx, p->ca, NULL) != 1)
			return sim_bad(err, "ca '%.200s': no PEM certificate in it: %s", p->ca, why());
	} else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
		return sim_bad(err, "ca: the system's certificates cannot be read; give --ca FILE");
	}
	/* On the context, so that no connection pays for it. */
	param = SSL_CTX_get0_param(ctx);
	if (inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1)
		X509_VERIFY_PARAM_set1_ip_asc(param, name);
	else
		X509_VERIFY_PARAM_set1_host(param, name, 0);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

int sim_tls_new(const struct sim_profile *p, struct sim_tls **ret, struct sim_err *err)
{
	struct sim_tls *t = calloc(1, sizeof(*t));
	struct identity id = { NULL, NULL };
	const char *s;
	size_t n;
	int rc;

	if (!t)
		return sim_bad(err, "out of memory");
	t->p = p;
	snprintf(t->sni, sizeof(t->sni), "%s", *p->sni ? p->sni : p->host);
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t->ctx) {
		free(t);
		return sim_bad(err, "TLS: %s", why());
	}
	/*
	 * Buffers are given back between records: an idle connection keeps about
	 * 16 KiB less. Client-side sessions are kept per device by the engine.
	 */
	SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A broker that closes without close_notify is a closed connection, not a TLS fault. */
	SSL_CTX_set_options(t->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(t->ctx,
				       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	if (p->tls_min)
		SSL_CTX_set_min_proto_version(t->ctx,
					      p->tls_min == 12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	else
		SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
	if (p->tls_max)
		SSL_CTX_set_max_proto_version(t->ctx,
					      p->tls_max == 12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	rc = set_verify(t->ctx, p, t->sni, err);
	if (!rc && *p->alpn && set_alpn(t->ctx, p->alpn))
		rc = sim_bad(err, "alpn '%s': not accepted by OpenSSL", p->alpn);
	if (!rc && *p->cert) {
		rc = sim_tmpl_name(p->cert, "cert", &t->cert, err);
		if (!rc)
			rc = sim_tmpl_name(p->key, "key", &t->key, err);
		if (!rc && sim_tmpl_fixed(t->cert, &s, &n) && sim_tmpl_fixed(t->key, &s, &n)) {
			/* One for all lives on the context, chain included. */
			rc = load(p->cert, p->key, &id, err);
			X509_free(id.cert);
			EVP_PKEY_free(id.key);
			if (!rc && (SSL_CTX_use_certificate_chain_file(t->ctx, p->cert) != 1 ||
				    SSL_CTX_use_PrivateKey_file(t->ctx, p->key,
								SSL_FILETYPE_PEM) != 1))
				rc = sim_bad(err, "cert '%.200s': %s", p->cert, why());
			sim_tmpl_free(t->cert);
			sim_tmpl_free(t->key);
			t->cert = t->key = NULL;
		}
	}
	if (rc) {
		sim_tls_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

SSL *sim_tls_connect(struct sim_tls *t, uint32_t slot, int fd, SSL_SESSION *resume)
{
	unsigned char raw[16];
	SSL *ssl = SSL_new(t->ctx);

	if (!ssl)
		return NULL;
	if (SSL_set_fd(ssl, fd) != 1)
		goto fail;
	/* A literal address is not a server name (RFC 6066). */
	if (inet_pton(AF_INET, t->sni, raw) != 1 && inet_pton(AF_INET6, t->sni, raw) != 1)
		SSL_set_tlsext_host_name(ssl, t->sni);
	if (t->cert && slot < t->nid && t->id[slot].cert &&
	    (SSL_use_certificate(ssl, t->id[slot].cert) != 1 ||
	     SSL_use_PrivateKey(ssl, t->id[slot].key) != 1))
		goto fail;
	if (resume)
		SSL_set_session(ssl, resume);
	SSL_set_connect_state(ssl);
	return ssl;
fail:
	SSL_free(ssl);
	ERR_clear_error();
	return NULL;
}
