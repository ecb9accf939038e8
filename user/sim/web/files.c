// SPDX-License-Identifier: GPL-2.0-only
/* GET /ui/...: the panel, from inside the program or from --web-root. No secret, no token. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <squall/ui.h>
#include "sim/web/files.h"

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *resp)
{
	enum MHD_Result rc;

	if (!resp)
		return MHD_NO;
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	rc = MHD_queue_response(c, status, resp);
	MHD_destroy_response(resp);
	return rc;
}

/* What leaves the folder, by dots or by a link, is not there. */
static struct MHD_Response *from_dir(const char *root, const char *path)
{
	char full[PATH_MAX], real[PATH_MAX];

	snprintf(full, sizeof(full), "%.2000s/%.1000s", root, *path ? path : "index.html");
	if (!realpath(full, real) || strncmp(real, root, strlen(root)) || real[strlen(root)] != '/')
		return NULL;
	return sq_ui_response_fd(open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK), real);
}

static enum MHD_Result none(struct MHD_Connection *c)
{
	static char text[] = "{\"error\":\"the panel has no such file\"}";
	struct MHD_Response *resp = sq_ui_headers(
		MHD_create_response_from_buffer(sizeof(text) - 1, text, MHD_RESPMEM_PERSISTENT));

	if (resp)
		MHD_add_response_header(resp, "Content-Type", "application/json");
	return answer(c, MHD_HTTP_NOT_FOUND, resp);
}

enum MHD_Result sim_web_file(struct MHD_Connection *c, const char *root, const char *path)
{
	const struct sq_ui_file *file = *root ? NULL : sq_ui_find(path);
	unsigned int status = MHD_HTTP_OK;
	struct MHD_Response *resp;

	resp = file ? sq_ui_response(c, file, &status) : *root ? from_dir(root, path) : NULL;
	return resp || file ? answer(c, status, resp) : none(c);
}

enum MHD_Result sim_web_redirect(struct MHD_Connection *c)
{
	return answer(c, MHD_HTTP_FOUND, sq_ui_redirect());
}
