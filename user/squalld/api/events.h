/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Server-sent events. A stream is a suspended connection with a bounded queue;
 * publishing appends and resumes. A reader that is too slow loses its oldest
 * events and is told so ("event: lost").
 */
#ifndef SQUALLD_EVENTS_H
#define SQUALLD_EVENTS_H

#include "squalld/daemon.h"
#include "squalld/http/http.h"

int events_init(struct daemon *d); /* listens to d->bus */
void events_free(struct daemon *d);
/* GET /api/v1/events */
enum MHD_Result events_serve(struct request *r);
/* Ends all streams, before http_stop(). */
void events_stop(struct daemon *d);
unsigned int events_count(struct daemon *d);

#endif
