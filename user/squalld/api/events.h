/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Server-sent events. A stream is a suspended connection with a bounded queue;
 * publishing appends and resumes. A reader that is too slow loses its oldest
 * events and is told so ("event: lost").
 */
#ifndef SQUALLD_EVENTS_H
#define SQUALLD_EVENTS_H

#include "squalld/http/http.h"

struct api;
struct events;

int events_new(const struct api *api, struct events **ret); /* listens to api->bus */
void events_free(struct events *ev);			    /* ev may be NULL, here and below */
/* GET /api/v1/events */
enum MHD_Result events_serve(struct request *r);
/* Ends all streams, before http_stop(). */
void events_stop(struct events *ev);
unsigned int events_count(const struct events *ev);

#endif
