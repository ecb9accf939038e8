/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SQUALL_SIM_WEB_FILES_H
#define SQUALL_SIM_WEB_FILES_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

/* path: what follows "/ui/". root: a folder to read from, "" = the embedded files. */
enum MHD_Result sim_web_file(struct MHD_Connection *c, const char *root, const char *path);
enum MHD_Result sim_web_redirect(struct MHD_Connection *c);

#endif
