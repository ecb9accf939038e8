// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a paho connection failed or ended, which the library's call-backs do not say (1.3.12).
 * In the thread that calls back it shuts the socket down first, which is seen
 * (sim/base/sock_end.h), and writes its trace, of which lines are read that begin so.
 */
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "sim/base/sock_end.h"
#include "sim/engine/paho_dev.h"

/* Of the connection that this thread is at, and of the last that it has ended. */
static _Thread_local struct pwhy seen, ended;
static _Thread_local bool wrong_qos;
/* The certificate is another host's: what follows is its end, or CONNECT, if it has the address. */
static _Thread_local bool wrong_name;

static void see(enum sim_fail kind, uint32_t detail)
{
	seen.kind = kind;
	seen.detail = detail;
}

static void on_end(const struct sock_end *end)
{
	if (seen.kind)
		; /* the cause came before */
	else if (wrong_name)
		see(F_TLS_VERIFY, X509_V_ERR_HOSTNAME_MISMATCH);
	else if (end->closed)
		see(F_CLOSED, 0);
	else if (end->error)
		seen.kind = con_errno(end->error, &seen.detail);
	else if (end->tcp == TCP_IS_CLOSE)
		see(end->late ? F_CLOSED : F_RESET, 0);
	else if (end->tcp != TCP_IS_ESTABLISHED)
		see(end->tcp == TCP_IS_SYN_SENT ? F_TCP_TIMEOUT : F_CLOSED, 0);
	seen.tcp = end->tcp;
	ended = seen;
	seen = (struct pwhy){0};
	wrong_name = false;
}

/* A line of OpenSSL's list, "THREAD:error:HEX:..."; the first is what it was. */
int pwhy_tls(const char *line, size_t len, void *ctx)
{
	const char *hex = strstr(line, ":error:");
	unsigned long e = hex ? strtoul(hex + 7, NULL, 16) : 0;

	(void)len;
	(void)ctx;
	if (seen.kind)
		return 1;
	if (ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		see(F_TLS_VERIFY, X509_V_ERR_UNSPECIFIED);
	else if (ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		see(F_CLOSED, 0);
	else
		see(F_TLS, (uint32_t)e);
	return 1;
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* The broker's last word, of which within a connection nobody else tells. 0: OpenSSL has no name
 * for it, as for a certificate that is required. */
static void alerted(const char *word)
{
	int n = 0;

	while (n < 256 && strcmp(word, SSL_alert_desc_string_long(n)))
		n++;
	see(F_TLS, n < 256 && strcmp(word, "unknown")
			   ? (uint32_t)ERR_PACK(ERR_LIB_SSL, 0, SSL_AD_REASON_OFFSET + n)
			   : 0);
}

static void on_trace(enum MQTTASYNC_TRACE_LEVELS level, char *line)
{
	/* Behind "20261127 120000.123 ". */
	const char *text = strlen(line) > 20 ? line + 20 : "";

	(void)level;
	if (wrong_name && strstr(text, " -> CONNECT"))
		wrong_name = false;
	if (begins(text, "Connecting to serverURI"))
		seen = ended = (struct pwhy){0};
	else if (begins(text, "getaddrinfo failed"))
		see(F_UNRESOLVED, 0);
	else if (begins(text, "X509_check_host for hostname"))
		wrong_name = true;
	else if (begins(text, "SSL alert read:fatal:"))
		alerted(text + strlen("SSL alert read:fatal:"));
	else if (begins(text, "Bad MQTT packet"))
		see(F_MALFORMED, PROTO_MALFORMED);
	else if (begins(text, "PINGRESP not received") || begins(text, "PINGREQ still outstanding"))
		see(F_KEEPALIVE, 0);
	else if (begins(text, "Packet PUBACK") && strstr(text, "wrong QoS"))
		wrong_qos = true;
}

void pwhy_watch(bool qos2)
{
	sock_end_seen = on_end;
	MQTTAsync_setTraceCallback(on_trace);
	MQTTAsync_setTraceLevel(qos2 ? MQTTASYNC_TRACE_MINIMUM : MQTTASYNC_TRACE_PROTOCOL);
}

struct pwhy pwhy_take(void)
{
	/* Without a socket there is none that was shut down. */
	struct pwhy w = ended.tcp ? ended : seen;

	seen = ended = (struct pwhy){0};
	return w;
}

bool pwhy_downgraded(void)
{
	bool was = wrong_qos;

	wrong_qos = false;
	return was;
}
