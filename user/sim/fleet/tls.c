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
#include "sim/fleet/creds.h"
#include "sim/fleet/options.h"
#include "sim/fleet/tls.h"
#include "sim/fleet/tmpl.h"

/*
 * A device's identity. Parsed, which takes half a millisecond and 5 KiB, and as
 * DER, which takes 0.7 KiB: see answer().
 */
struct identity {
	X509 *cert;
	EVP_PKEY *key;
	unsigned char *der; /* the certificate's, then the key's; NULL unless needed */
	uint32_t cert_len, key_len;
};

/*
 * Identities read before the first connection, when every pair of files is
 * checked. Made before the shards are, and read-only then but for the entry of a
 * shard's own device.
 */
struct early {
	struct early *next;
	char cert[256], key[256], thing[128], client[160], type[SIM_TYPE_NAME], creds[256];
	uint32_t first, skip, n;
	struct identity id[];
};
static struct early *early_list;

struct sim_tls {
	SSL_CTX *ctx;
	const struct sim_profile *p;
	char sni[200];
	bool literal;		     /* an address, which is not a server name (RFC 6066) */
	struct sim_tmpl *cert, *key; /* NULL: one on the context, or none */
	struct sim_tmpl *client;     /* what {client_id} in them is */
	struct early *early;
	struct identity *id; /* by slot, of devices that are not in `early` */
	uint32_t nid;
	struct identity *now; /* of the device whose handshake goes on */
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

static void identity_free(struct identity *id)
{
	X509_free(id->cert);
	EVP_PKEY_free(id->key);
	OPENSSL_clear_free(id->der, id->cert_len + id->key_len);
	memset(id, 0, sizeof(*id));
}

void sim_tls_free(struct sim_tls *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->nid; i++)
		identity_free(&t->id[i]);
	free(t->id);
	sim_tmpl_free(t->cert);
	sim_tmpl_free(t->key);
	sim_tmpl_free(t->client);
	SSL_CTX_free(t->ctx);
	free(t);
}

static EVP_PKEY *key_from_der(const X509 *cert, const unsigned char *p, long len)
{
	EVP_PKEY *pub = X509_get0_pubkey(cert);

	return pub ? d2i_PrivateKey(EVP_PKEY_get_base_id(pub), NULL, &p, len) : NULL;
}

/*
 * OpenSSL 3.0 tries every decoder it has for "a private key", which takes 0.6 ms. The
 * certificate says which it is: 0.15 ms. What is not that (another type, or
 * encrypted) goes the long way, for the sake of its error.
 */
static EVP_PKEY *read_key(FILE *f, const X509 *cert)
{
	char *name = NULL, *header = NULL;
	unsigned char *der = NULL;
	EVP_PKEY *key = NULL;
	long len;

	if (PEM_read(f, &name, &header, &der, &len) == 1 && !*header)
		key = key_from_der(cert, der, len);
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_clear_free(der, der ? (size_t)len : 0);
	if (key)
		return key;
	ERR_clear_error();
	rewind(f);
	return PEM_read_PrivateKey(f, NULL, NULL, NULL);
}

static int load(const char *cert_path, const char *key_path, struct identity *ret,
		struct sq_error *err)
{
	FILE *f = fopen(cert_path, "re");

	if (!f)
		return sq_bad(err, "cert '%.180s': %s", cert_path, strerror(errno));
	ret->cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	if (!ret->cert)
		return sq_bad(err, "cert '%.180s': no PEM certificate in it: %s", cert_path, why());
	f = fopen(key_path, "re");
	if (!f)
		return sq_bad(err, "key '%.180s': %s", key_path, strerror(errno));
	ret->key = read_key(f, ret->cert);
	fclose(f);
	if (!ret->key)
		return sq_bad(err, "key '%.180s': no PEM private key in it: %s", key_path, why());
	if (X509_check_private_key(ret->cert, ret->key) != 1) {
		ERR_clear_error();
		return sq_bad(err, "key '%.180s' does not belong to cert '%.180s'", key_path,
			      cert_path);
	}
	return 0;
}

/* Of the type's device `index`, counted from 0. */
static int load_of(const struct sim_tmpl *cert_t, const struct sim_tmpl *key_t, const char *thing,
		   const struct sim_profile *p, uint32_t index, struct identity *ret,
		   struct sq_error *err)
{
	struct sim_tmpl_ctx c = {.thing = thing,
				 .client_id = thing,
				 .type = p->name,
				 .index = index + p->first,
				 .row = index + p->credentials_skip};
	char cert[512], key[512];
	long n;
	int rc;

	n = sim_tmpl_render(cert_t, &c, cert, sizeof(cert) - 1);
	if (n < 0)
		return sq_bad(err, "cert: the file name is longer than %zu bytes", sizeof(cert));
	cert[n] = 0;
	n = sim_tmpl_render(key_t, &c, key, sizeof(key) - 1);
	if (n < 0)
		return sq_bad(err, "key: the file name is longer than %zu bytes", sizeof(key));
	key[n] = 0;
	rc = load(cert, key, ret, err);
	if (rc)
		identity_free(ret);
	return rc;
}

int sim_tls_identity(struct sim_tls *t, uint32_t slot, uint32_t index, const char *thing,
		     struct sq_error *err)
{
	struct identity *id;

	t->now = NULL;
	if (!t->cert)
		return 0;
	if (t->early && index < t->early->n) {
		t->now = &t->early->id[index];
		return 0;
	}
	if (slot >= t->nid) {
		uint32_t want = slot + 1 > t->nid * 2 ? slot + 1 : t->nid * 2;
		struct identity *grown = realloc(t->id, want * sizeof(*grown));

		if (!grown)
			return sq_bad(err, "cert: out of memory");
		memset(grown + t->nid, 0, (want - t->nid) * sizeof(*grown));
		t->id = grown;
		t->nid = want;
	}
	id = &t->id[slot];
	t->now = id;
	if (id->cert || id->der)
		return 0;
	return load_of(t->cert, t->key, thing, t->p, index, id, err);
}

/* From objects to DER: 0.7 KiB in place of 5. */
static bool identity_pack(struct identity *id)
{
	int c = i2d_X509(id->cert, NULL), k = i2d_PrivateKey(id->key, NULL);
	unsigned char *p;

	if (id->der)
		return true;
	if (c <= 0 || k <= 0)
		return false;
	id->der = p = OPENSSL_malloc((size_t)(c + k));
	if (!p)
		return false;
	id->cert_len = (uint32_t)i2d_X509(id->cert, &p);
	id->key_len = (uint32_t)i2d_PrivateKey(id->key, &p);
	return true;
}

/* Objects again. */
static bool identity_parse(struct identity *id)
{
	const unsigned char *p = id->der;

	id->cert = d2i_X509(NULL, &p, id->cert_len);
	id->key = id->cert ? key_from_der(id->cert, p, id->key_len) : NULL;
	if (id->key)
		return true;
	X509_free(id->cert);
	id->cert = NULL;
	return false;
}

int sim_tls_check(const struct sim_profile *p, uint32_t n, struct sq_error *err)
{
	struct sim_tmpl *thing = NULL, *cert = NULL, *key = NULL, *client = NULL;
	const struct sim_creds *creds;
	struct early *e = NULL;
	int rc;

	if (!*p->cert)
		return 0;
	rc = sim_creds_get(p->credentials, &creds, err);
	rc = rc ? rc : sim_tmpl_name(p->thing, "thing", creds, &thing, err);
	rc = rc ? rc : sim_tmpl_name(p->cert, "cert", creds, &cert, err);
	rc = rc ? rc : sim_tmpl_name(p->key, "key", creds, &key, err);
	rc = rc ? rc : sim_tmpl_name(p->client_id, "client-id", creds, &client, err);
	sim_tmpl_client(cert, client);
	sim_tmpl_client(key, client);
	/* One for all has been checked with the context it lives on. */
	if (rc || (!sim_tmpl_per_device(cert) && !sim_tmpl_per_device(key)))
		goto out;
	e = calloc(1, sizeof(*e) + n * sizeof(e->id[0]));
	if (!e) {
		rc = sq_bad(err, "cert: out of memory");
		goto out;
	}
	snprintf(e->cert, sizeof(e->cert), "%s", p->cert);
	snprintf(e->key, sizeof(e->key), "%s", p->key);
	snprintf(e->thing, sizeof(e->thing), "%s", p->thing);
	snprintf(e->client, sizeof(e->client), "%s", p->client_id);
	snprintf(e->type, sizeof(e->type), "%s", p->name);
	snprintf(e->creds, sizeof(e->creds), "%s", p->credentials);
	e->first = p->first;
	e->skip = p->credentials_skip;
	for (; e->n < n && !rc; e->n++) {
		struct sim_tmpl_ctx c = {.type = p->name,
					 .index = p->first + e->n,
					 .row = p->credentials_skip + e->n};
		char who[256];
		long len = sim_tmpl_render(thing, &c, who, sizeof(who) - 1);

		who[len < 0 ? 0 : len] = 0;
		rc = load_of(cert, key, who, p, e->n, &e->id[e->n], err);
		/* Each process of the fleet has all of these, and would copy every page of
		 * small objects of which it frees its own. */
		if (!rc && identity_pack(&e->id[e->n])) {
			X509_free(e->id[e->n].cert);
			EVP_PKEY_free(e->id[e->n].key);
			e->id[e->n].cert = NULL;
			e->id[e->n].key = NULL;
		}
	}
	e->next = early_list;
	early_list = e;
out:
	sim_tmpl_free(thing);
	sim_tmpl_free(cert);
	sim_tmpl_free(key);
	sim_tmpl_free(client);
	return rc;
}

void sim_tls_check_free(void)
{
	struct early *e;

	while ((e = early_list)) {
		early_list = e->next;
		for (uint32_t i = 0; i < e->n; i++)
			identity_free(&e->id[i]);
		free(e);
	}
}

static struct early *early_find(const struct sim_profile *p)
{
	struct early *e = early_list;

	while (e && (strcmp(e->cert, p->cert) || strcmp(e->key, p->key) ||
		     strcmp(e->thing, p->thing) || strcmp(e->client, p->client_id) ||
		     strcmp(e->type, p->name) || e->first != p->first ||
		     strcmp(e->creds, p->credentials) || e->skip != p->credentials_skip))
		e = e->next;
	return e;
}

/*
 * The server asks for the certificate, which it does in full handshakes only. A
 * device that will come back with its session (--resume always) hands its parsed
 * objects to the connection, which frees them; what is kept for the case that the
 * server has forgotten the session is DER. The others need them again.
 */
static int answer(SSL *ssl, X509 **ret_cert, EVP_PKEY **ret_key)
{
	struct sim_tls *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	struct identity *id = t->now;

	if (!id || (!id->cert && (!id->der || !identity_parse(id))))
		return 0;
	*ret_cert = id->cert;
	*ret_key = id->key;
	if (t->p->resume == SIM_RESUME_ALWAYS && identity_pack(id)) {
		id->cert = NULL;
		id->key = NULL;
	} else {
		X509_up_ref(id->cert);
		EVP_PKEY_up_ref(id->key);
		OPENSSL_clear_free(id->der, id->cert_len + id->key_len);
		id->der = NULL;
	}
	return 1;
}

static int set_alpn(SSL_CTX *ctx, const char *name)
{
	unsigned char wire[80];
	size_t n = strlen(name);

	wire[0] = (unsigned char)n;
	memcpy(wire + 1, name, n);
	return SSL_CTX_set_alpn_protos(ctx, wire, (unsigned)(n + 1));
}

static bool is_address(const char *name)
{
	unsigned char raw[16];

	return inet_pton(AF_INET, name, raw) == 1 || inet_pton(AF_INET6, name, raw) == 1;
}

static void name_server(X509_VERIFY_PARAM *param, const char *name)
{
	/* Each takes the other's place: a certificate is for a name or for an address. */
	X509_VERIFY_PARAM_set1_host(param, is_address(name) ? NULL : name, 0);
	if (is_address(name))
		X509_VERIFY_PARAM_set1_ip_asc(param, name);
	else
		X509_VERIFY_PARAM_set1_ip(param, NULL, 0);
}

static int set_verify(SSL_CTX *ctx, const struct sim_profile *p, const char *name,
		      struct sq_error *err)
{
	if (p->insecure)
		return 0;
	if (*p->ca) {
		if (access(p->ca, R_OK))
			return sq_bad(err, "ca '%.200s': %s", p->ca, strerror(errno));
		if (SSL_CTX_load_verify_locations(ctx, p->ca, NULL) != 1)
			return sq_bad(err, "ca '%.200s': no PEM certificate in it: %s", p->ca,
				      why());
	} else if (SSL_CTX_set_default_verify_paths(ctx) != 1) {
		return sq_bad(err, "ca: the system's certificates cannot be read; give --ca FILE");
	}
	/* On the context, so that no connection pays for it. */
	name_server(SSL_CTX_get0_param(ctx), name);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return 0;
}

static SSL_CTX *context_new(const struct sim_profile *p)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	/*
	 * Buffers are given back between records: an idle connection keeps about
	 * 16 KiB less. Client-side sessions are kept per device by the engine.
	 */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A broker that closes without close_notify is a closed connection, not a TLS fault. */
	SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* One read() for all records that have come, in place of two for each. */
	SSL_CTX_set_read_ahead(ctx, 1);
	/* What devices prefer; its hash is the cheaper one, and TLS 1.3 resumption is hashing. */
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
				      "TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_client_cert_cb(ctx, answer);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_set_min_proto_version(ctx, p->tls_min == 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	if (p->tls_max)
		SSL_CTX_set_max_proto_version(ctx,
					      p->tls_max == 12 ? TLS1_2_VERSION : TLS1_3_VERSION);
	return ctx;
}

/* Each device's own certificate and key by templates, or one for all on the context. */
static int set_identity(struct sim_tls *t, const struct sim_creds *creds, struct sq_error *err)
{
	const struct sim_profile *p = t->p;
	struct identity id = {0};
	const char *s;
	size_t n;
	int rc;

	rc = sim_tmpl_name(p->cert, "cert", creds, &t->cert, err);
	if (!rc)
		rc = sim_tmpl_name(p->key, "key", creds, &t->key, err);
	if (!rc)
		rc = sim_tmpl_name(p->client_id, "client-id", creds, &t->client, err);
	sim_tmpl_client(t->cert, t->client);
	sim_tmpl_client(t->key, t->client);
	if (rc || !sim_tmpl_fixed(t->cert, &s, &n) || !sim_tmpl_fixed(t->key, &s, &n))
		return rc;
	/* One for all lives on the context, chain included. */
	rc = load(p->cert, p->key, &id, err);
	identity_free(&id);
	if (!rc && (SSL_CTX_use_certificate_chain_file(t->ctx, p->cert) != 1 ||
		    SSL_CTX_use_PrivateKey_file(t->ctx, p->key, SSL_FILETYPE_PEM) != 1))
		rc = sq_bad(err, "cert '%.200s': %s", p->cert, why());
	sim_tmpl_free(t->cert);
	sim_tmpl_free(t->key);
	t->cert = t->key = NULL;
	return rc;
}

int sim_tls_new(const struct sim_profile *p, struct sim_tls **ret, struct sq_error *err)
{
	struct sim_tls *t = calloc(1, sizeof(*t));
	const struct sim_creds *creds;
	int rc;

	if (!t)
		return sq_bad(err, "out of memory");
	t->p = p;
	t->early = early_find(p);
	snprintf(t->sni, sizeof(t->sni), "%s", *p->sni ? p->sni : p->host);
	t->literal = is_address(t->sni);
	t->ctx = context_new(p);
	if (!t->ctx) {
		free(t);
		return sq_bad(err, "TLS: %s", why());
	}
	SSL_CTX_set_app_data(t->ctx, t);
	rc = set_verify(t->ctx, p, t->sni, err);
	if (!rc && *p->alpn && set_alpn(t->ctx, p->alpn))
		rc = sq_bad(err, "alpn '%s': not accepted by OpenSSL", p->alpn);
	if (!rc)
		rc = sim_creds_get(p->credentials, &creds, err);
	if (!rc && *p->cert)
		rc = set_identity(t, creds, err);
	if (rc) {
		sim_tls_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void sim_tls_on_session(struct sim_tls *t, int (*cb)(SSL *ssl, SSL_SESSION *session))
{
	SSL_CTX_sess_set_new_cb(t->ctx, cb);
}

SSL *sim_tls_connect(struct sim_tls *t, int fd, SSL_SESSION *resume, void *owner,
		     const char *server)
{
	SSL *ssl = SSL_new(t->ctx);

	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, owner);
	if (SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	if (server && *t->p->sni)
		server = NULL; /* the name that the user says holds everywhere */
	if (server)
		name_server(SSL_get0_param(ssl), server);
	if (server ? !is_address(server) : !t->literal)
		SSL_set_tlsext_host_name(ssl, server ? (char *)(uintptr_t)server : t->sni);
	if (resume)
		SSL_set_session(ssl, resume);
	SSL_set_connect_state(ssl);
	return ssl;
}

void sim_tls_done(SSL *ssl)
{
	if (SSL_version(ssl) >= TLS1_3_VERSION)
		SSL_certs_clear(ssl);
}

SSL_SESSION *sim_tls_pack(SSL_SESSION *s)
{
	unsigned char *der = NULL, *out, *w;
	const unsigned char *p, *end, *from;
	SSL_SESSION *ret = NULL;
	int len, tag, class, head;
	long n, kept = 0;

	if (!SSL_SESSION_get0_peer(s))
		return s;
	len = i2d_SSL_SESSION(s, &der);
	if (len <= 0)
		return s;
	out = malloc((size_t)len);
	p = der;
	if (out && ASN1_get_object(&p, &n, &tag, &class, len) == V_ASN1_CONSTRUCTED) {
		end = p + n;
		/* All fields but [3], the peer's certificate. */
		for (from = p; p < end; p += n, from = p) {
			if (ASN1_get_object(&p, &n, &tag, &class, end - p) & 0x80)
				goto out;
			if (class == V_ASN1_CONTEXT_SPECIFIC && tag == 3)
				continue;
			memcpy(out + kept, from, (size_t)(p + n - from));
			kept += p + n - from;
		}
		head = ASN1_object_size(1, (int)kept, V_ASN1_SEQUENCE) - (int)kept;
		memmove(out + head, out, (size_t)kept);
		w = out;
		ASN1_put_object(&w, 1, (int)kept, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
		p = out;
		ret = d2i_SSL_SESSION(NULL, &p, kept + head);
	}
out:
	ERR_clear_error();
	OPENSSL_clear_free(der, (size_t)len);
	free(out);
	if (!ret)
		return s;
	SSL_SESSION_free(s);
	return ret;
}
