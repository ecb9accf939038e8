// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLS: one SSL_CTX per device type, certificates parsed once per process and
 * shared by everything that connects with them.
 */
#ifndef SQUALL_SIM_TLS_H
#define SQUALL_SIM_TLS_H

#include <openssl/ssl.h>
#include "profile.h"

struct sim_tls;

/*
 * Reads CA, certificate and key (per device only the first one's are checked
 * here). Returns 0, or -EINVAL with a line naming the file.
 */
int sim_tls_new(const struct sim_profile *p, struct sim_tls **ret, struct sim_err *err);
void sim_tls_free(struct sim_tls *t);

/* Loads device `slot`'s certificate (0..) by its thing and index. Once; later calls are free. */
int sim_tls_identity(struct sim_tls *t, uint32_t slot, const char *thing, const char *type,
		     uint32_t index, struct sim_err *err);
/* A connection's SSL over `fd`, with `slot`'s certificate and `resume` (may be NULL). */
SSL *sim_tls_connect(struct sim_tls *t, uint32_t slot, int fd, SSL_SESSION *resume);

#endif
