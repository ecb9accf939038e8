// SPDX-License-Identifier: GPL-2.0-only
/* The broker, as one device meets it up to the handshake: no MQTT, so that no client id is taken
 * from a device that is connected. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "lib/checkup/checkup.h"
#include "lib/clock.h"
#include "sim/doctor/certificate.h"
#include "sim/doctor/doctor.h"
#include "sim/fleet/tls.h"

#define WAIT_MS 5000 /* of one connection attempt */

/* A connected socket that blocks, or -errno. */
static int dial(const union sim_addr *a, const union sim_addr *from)
{
	struct timeval wait = {.tv_sec = WAIT_MS / 1000};
	socklen_t size = a->sa.sa_family == AF_INET ? sizeof(a->in) : sizeof(a->in6);
	int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), e;

	if (fd < 0)
		return -errno;
	/* Also bounds connect(2), which then says EINPROGRESS. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if ((!from || !bind(fd, &from->sa, size)) && !connect(fd, &a->sa, size))
		return fd;
	e = errno == EINPROGRESS ? ETIMEDOUT : errno;
	close(fd);
	return -e;
}

static const char *remedy_of(int e)
{
	switch (e) {
	case -ECONNREFUSED:
		return "nothing listens there: is the broker started, and on this port?";
	case -ETIMEDOUT:
		return "no answer: a firewall or a security group, or a wrong address";
	case -ENETUNREACH:
	case -EHOSTUNREACH:
		return "no route: ip route get ADDRESS";
	case -EADDRNOTAVAIL:
		return "--bind: an address of this machine is accepted";
	}
	return "the log of the broker may say more";
}

static void handshake(json_t *list, const struct sim_profile *p, int fd)
{
	struct sq_error err = {0};
	struct sim_tls *t = NULL;
	uint64_t from = sq_mono_ns();
	SSL *ssl = NULL;
	X509 *cert;

	if (sim_tls_new(p, &t, &err) || sim_tls_identity(t, 0, p->first, p->thing, &err) ||
	    !(ssl = sim_tls_connect(t, fd, NULL, NULL, NULL))) {
		checkup_add(list, "tls", CHECKUP_BAD, "mend what is named", "%s", err.text);
	} else if (SSL_connect(ssl) != 1) {
		long verify = SSL_get_verify_result(ssl);
		const char *why = ERR_reason_error_string(ERR_peek_error());

		checkup_add(
			list, "tls", CHECKUP_BAD,
			verify != X509_V_OK
				? "--ca FILE with the authority that signed the broker, or --sni "
				  "NAME where its certificate has another name"
				: "does the port speak TLS, and does it want a certificate "
				  "(--cert, --key) or another protocol name (--alpn)?",
			"%s: handshake: %s", p->name,
			verify != X509_V_OK ? X509_verify_cert_error_string(verify)
			: why		    ? why
					    : "the broker closed or was silent");
	} else {
		checkup_add(list, "tls", p->insecure ? CHECKUP_NOTE : CHECKUP_OK,
			    p->insecure ? "without --insecure it would be" : NULL,
			    "%s: %s, %s, %.1f ms%s", p->name, SSL_get_version(ssl),
			    SSL_get_cipher_name(ssl), (double)(sq_mono_ns() - from) / 1e6,
			    p->insecure ? ", the broker's certificate is not checked" : "");
		cert = SSL_get1_peer_certificate(ssl);
		if (cert)
			certificate_dates(list, "broker's certificate", "renew it", cert);
		X509_free(cert);
	}
	ERR_clear_error();
	SSL_free(ssl);
	sim_tls_free(t);
}

void doctor_broker(json_t *list, const struct sim_profile *p)
{
	char text[INET6_ADDRSTRLEN];
	unsigned int tls_done = 0;

	for (unsigned i = 0; i < p->naddrs; i++) {
		const union sim_addr *a = &p->addr[i];
		uint64_t from = sq_mono_ns();
		int fd = dial(a, p->nbinds ? &p->bind[0].first : NULL);

		inet_ntop(a->sa.sa_family,
			  a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr
						     : (const void *)&a->in6.sin6_addr,
			  text, sizeof(text));
		if (fd < 0) {
			checkup_add(list, "broker", CHECKUP_BAD, remedy_of(fd),
				    "%s: %s port %u: %s", p->name, text, p->port, strerror(-fd));
			continue;
		}
		checkup_add(list, "broker", CHECKUP_OK, NULL, "%s: %s port %u answers in %.1f ms",
			    p->name, text, p->port, (double)(sq_mono_ns() - from) / 1e6);
		if (p->tls && !tls_done++)
			handshake(list, p, fd);
		close(fd);
	}
}
