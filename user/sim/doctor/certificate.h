/* SPDX-License-Identifier: GPL-2.0-only */
/* What the dates of a certificate say. */
#ifndef SQUALL_SIM_CERTIFICATE_H
#define SQUALL_SIM_CERTIFICATE_H

#include <jansson.h>
#include <openssl/x509.h>

/* A finding `name`: bad outside its dates, a note in its last 7 days. remedy: for both. */
void certificate_dates(json_t *list, const char *name, const char *remedy, const X509 *cert);

#endif
