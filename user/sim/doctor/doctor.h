/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * squall-sim doctor: what hinders a fleet on this machine. Each appends
 * findings to a list of lib/checkup. One connection for each address of a
 * broker is made, and nothing is sent over it but a TLS handshake.
 */
#ifndef SQUALL_SIM_DOCTOR_H
#define SQUALL_SIM_DOCTOR_H

#include <jansson.h>
#include "sim/fleet/profile.h"

/* Descriptors for n devices of all types together, of a process and of the machine. */
void doctor_descriptors(json_t *list, uint32_t n);

/* The rest is of one device type, whose profile sim_profile_check() has accepted. */

/* Source ports for n connections to its broker. */
void doctor_ports(json_t *list, const struct sim_profile *p, uint32_t n);

/* Its broker: TCP (5 s each address), then, where it is TLS, the handshake as a device does it. */
void doctor_broker(json_t *list, const struct sim_profile *p);

/* Of the certificates of its first n devices the one that ends first. */
void doctor_certificates(json_t *list, const struct sim_profile *p, uint32_t n);

#endif
