// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS: one SSL_CTX per device type, certificates parsed once per process and
 * shared by everything that connects with them.
 */
#ifndef SQUALL_SIM_TLS_H
#define SQUALL_SIM_TLS_H

#include <openssl/ssl.h>
#include "sim/fleet/profile.h"

struct sim_tls;

/*
 * Reads CA, certificate and key (of one for all; per device see sim_tls_check()).
 * Returns 0, or -EINVAL with a line naming the file.
 */
int sim_tls_new(const struct sim_profile *p, struct sim_tls **ret, struct sq_error *err);
/* `cb` gets every session that can be resumed, and returns 1 to keep its reference. */
void sim_tls_on_session(struct sim_tls *t, int (*cb)(SSL *ssl, SSL_SESSION *session));
void sim_tls_free(struct sim_tls *t);

/*
 * Reads and checks the certificates and keys of a type's first `n` devices. What it
 * read, kept as DER, is what they connect with: no file is read twice. To be called before
 * shards, and their contexts, exist; sim_tls_check_free() when they no longer do.
 */
int sim_tls_check(const struct sim_profile *p, uint32_t n, struct sq_error *err);
void sim_tls_check_free(void);

/*
 * The handshake of device `index`, place `slot` in this shard, goes on: its
 * certificate is the one to give when the server asks. Read here for devices that
 * nobody had announced; an error names the file.
 */
int sim_tls_identity(struct sim_tls *t, uint32_t slot, uint32_t index, const char *thing,
		     struct sq_error *err);
/*
 * A connection's SSL over `fd`, with `resume` (may be NULL). `owner`: SSL_get_app_data().
 * `server`: whom to ask for and to verify, where that is not the profile's; else NULL.
 */
SSL *sim_tls_connect(struct sim_tls *t, int fd, SSL_SESSION *resume, void *owner,
		     const char *server);

/*
 * After the handshake: its certificate and key (5 KiB) are no longer needed. Before TLS 1.3 they
 * are, a server may ask for another handshake.
 */
void sim_tls_done(SSL *ssl);

/*
 * A session to keep while there is no connection: without the server's parsed
 * certificate (2 KiB), which resuming does not need. Takes s, returns what replaces it.
 */
SSL_SESSION *sim_tls_pack(SSL_SESSION *s);

#endif
