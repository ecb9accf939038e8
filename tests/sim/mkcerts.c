// libs: -lcrypto
// SPDX-License-Identifier: GPL-2.0-only
/*
 * mkcerts: a certificate authority, a server and N devices, in a second.
 *
 *   mkcerts DIR N [PATTERN]
 *
 * writes ca.pem, server.pem and server.key (localhost, 127.0.0.1, ::1), other-ca.pem
 * (which signed nothing), and for i = 1..N the pair PATTERN.pem, PATTERN.key, where
 * PATTERN is a printf format of one number, "thing-%06d" by default.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;
static long serial = 1;

static void *must(void *p)
{
	if (!p) {
		perror("mkcerts");
		exit(1);
	}
	return p;
}

static FILE *create(const char *name, const char *suffix)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
	return must(fopen(path, "w"));
}

static void extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX c;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&c);
	X509V3_set_ctx(&c, issuer, x, NULL, NULL, 0);
	e = must(X509V3_EXT_conf_nid(NULL, &c, nid, value));
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* ca NULL: signs itself. Returns the certificate; writes NAME.pem and, but for a CA, NAME.key. */
static X509 *issue(const char *name, const char *cn, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key,
		   const char *alt)
{
	X509 *x = must(X509_new());
	X509_NAME *n = X509_get_subject_name(x);
	FILE *f;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 30 * 86400);
	X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(x, ca ? X509_get_subject_name(ca) : n);
	X509_set_pubkey(x, key);
	extension(x, ca ? ca : x, NID_basic_constraints, ca ? "CA:FALSE" : "critical,CA:TRUE");
	if (alt)
		extension(x, ca, NID_subject_alt_name, alt);
	if (!X509_sign(x, ca_key, EVP_sha256()))
		must(NULL);
	f = create(name, ".pem");
	PEM_write_X509(f, x);
	fclose(f);
	if (ca) {
		f = create(name, ".key");
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
		fclose(f);
	}
	return x;
}

int main(int argc, char **argv)
{
	const char *pattern = argc > 3 ? argv[3] : "thing-%06d";
	EVP_PKEY *ca_key, *other, *key;
	X509 *ca;

	if (argc < 3) {
		fprintf(stderr, "usage: mkcerts DIR N [PATTERN]\n");
		return 2;
	}
	dir = argv[1];
	ca_key = must(EVP_EC_gen("P-256"));
	ca = issue("ca", "squall test ca", ca_key, NULL, ca_key, NULL);
	other = must(EVP_EC_gen("P-256"));
	X509_free(issue("other-ca", "another test ca", other, NULL, other, NULL));
	key = must(EVP_EC_gen("P-256"));
	X509_free(
		issue("server", "localhost", key, ca, ca_key, "DNS:localhost,IP:127.0.0.1,IP:::1"));
	for (int i = 1; i <= atoi(argv[2]); i++) {
		char name[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(name, sizeof(name), pattern, i);
#pragma GCC diagnostic pop
		EVP_PKEY_free(key);
		key = must(EVP_EC_gen("P-256"));
		X509_free(issue(name, name, key, ca, ca_key, NULL));
	}
	return 0;
}
