// SPDX-License-Identifier: GPL-2.0-only
/* Certificates: that they belong together is sim_tls_check()'s; here, for how long. */
#include "sim/doctor/certificate.h"

#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include "lib/checkup/checkup.h"
#include "sim/doctor/doctor.h"
#include "sim/fleet/tmpl.h"

#define SOON_DAYS 7

static const char *day(const ASN1_TIME *t, char *buf, size_t size)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1 || !strftime(buf, size, "%F", &tm))
		snprintf(buf, size, "?");
	return buf;
}

/* Days until then, below 0 when it is past. */
static int days_to(const ASN1_TIME *t)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, t) != 1)
		return -1;
	return days || seconds >= 0 ? days : -1;
}

void certificate_dates(json_t *list, const char *name, const char *remedy, const X509 *cert)
{
	const ASN1_TIME *from = X509_get0_notBefore(cert), *to = X509_get0_notAfter(cert);
	char a[32], b[32], subject[128];

	X509_NAME_oneline(X509_get_subject_name(cert), subject, sizeof(subject));
	if (days_to(from) > 0 || X509_cmp_current_time(from) > 0)
		checkup_add(list, name, CHECKUP_BAD, "is this machine's clock right? (date)",
			    "%s begins %s", subject, day(from, a, sizeof(a)));
	else if (X509_cmp_current_time(to) < 0)
		checkup_add(list, name, CHECKUP_BAD, remedy, "%s ended %s", subject,
			    day(to, b, sizeof(b)));
	else if (days_to(to) < SOON_DAYS)
		checkup_add(list, name, CHECKUP_NOTE, remedy, "%s ends in %d days, %s", subject,
			    days_to(to), day(to, b, sizeof(b)));
	else
		checkup_add(list, name, CHECKUP_OK, NULL, "%s, until %s", subject,
			    day(to, b, sizeof(b)));
}

static X509 *read_certificate(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return cert;
}

/* The one that ends first is told; all were read by sim_tls_check(), so none lacks. */
void doctor_certificates(json_t *list, const struct sim_profile *p, uint32_t n)
{
	struct sim_tmpl *thing = NULL, *path = NULL, *client = NULL;
	const struct sim_creds *creds;
	struct sq_error err = {0};
	X509 *first = NULL;

	if (!*p->cert || sim_creds_get(p->credentials, &creds, &err) ||
	    sim_tmpl_name(p->thing, "thing", creds, &thing, &err) ||
	    sim_tmpl_name(p->client_id, "client-id", creds, &client, &err) ||
	    sim_tmpl_name(p->cert, "cert", creds, &path, &err))
		n = 0;
	sim_tmpl_client(path, client);
	for (uint32_t i = 0; i < n; i++) {
		struct sim_tmpl_ctx c = {
			.type = p->name, .index = p->first + i, .row = p->credentials_skip + i};
		char who[256], file[512];
		long len = sim_tmpl_render(thing, &c, who, sizeof(who) - 1);
		X509 *cert;

		who[len < 0 ? 0 : len] = 0;
		c.thing = c.client_id = who;
		len = sim_tmpl_render(path, &c, file, sizeof(file) - 1);
		file[len < 0 ? 0 : len] = 0;
		cert = read_certificate(file);
		if (cert && (!first || ASN1_TIME_compare(X509_get0_notAfter(cert),
							 X509_get0_notAfter(first)) < 0)) {
			X509_free(first);
			first = cert;
		} else {
			X509_free(cert);
		}
		if (!sim_tmpl_per_device(path))
			break;
	}
	if (first)
		certificate_dates(list, "certificates",
				  "new ones from whoever signed them; of all it ends first", first);
	X509_free(first);
	sim_tmpl_free(thing);
	sim_tmpl_free(path);
	sim_tmpl_free(client);
}
