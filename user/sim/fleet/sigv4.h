// SPDX-License-Identifier: GPL-2.0-only
/* AWS IoT's signed WebSocket paths, and the Host that a signature is for. */
#ifndef SQUALL_SIM_SIGV4_H
#define SQUALL_SIM_SIGV4_H

#include <time.h>
#include "sim/fleet/profile.h"

#define SIM_SIGNED_MAX 12288 /* a path with its signature; session tokens have kilobytes */

/* HOST, or HOST:PORT where the port is not its scheme's. */
void sim_host_header(const char *host, uint16_t port, bool tls, char *buf, size_t cap);
/*
 * Signs `path`, which has no query of its own, in place: Signature Version 4 in the query
 * string for the service iotdevicegateway, with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
 * and AWS_SESSION_TOKEN of the environment; the token stands behind the signature and is
 * not part of it (AWS IoT Core Developer Guide, "Device communication protocols": MQTT
 * over WebSocket Secure). 0, -ENOENT without credentials, -EMSGSIZE.
 */
int sim_sigv4(char *path, size_t cap, const char *host, const char *region, time_t now);
/* What such an error is, in words. */
const char *sim_sigv4_why(int rc);

#endif
