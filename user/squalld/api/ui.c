// SPDX-License-Identifier: GPL-2.0-only
/* What is served as it stands: openapi.json, and the panel, from inside the program or from
 * --web-root. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <squall/ui.h>
#include "squalld/api/api.h"

static enum MHD_Result none(struct request *r)
{
	return reply_status(r, 404, "path", "path: the panel has no such file");
}

static enum MHD_Result from_dir(struct request *r, const char *path)
{
	int dir = open(api_of(r)->opt->web_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	struct MHD_Response *response;

	if (!*path)
		path = "index.html";
	fd = dir < 0 ? -1 : openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (dir >= 0)
		close(dir);
	response = sq_ui_response_fd(fd, path);
	return response ? reply_response(r, 200, response) : none(r);
}

enum MHD_Result api_ui(struct request *r)
{
	struct MHD_Response *response;
	const struct sq_ui_file *file;
	unsigned int status = 200;
	char path[256] = "";

	if (r->n_seg == 1 && r->target[strcspn(r->target, "?") - 1] != '/')
		return reply_response(r, 308, sq_ui_redirect());
	for (int i = 1; i < r->n_seg; i++) {
		/* A decoded segment may hold slashes and dots. */
		if (strchr(r->seg[i], '/') || r->seg[i][0] == '.' || !r->seg[i][0] ||
		    strlen(path) + strlen(r->seg[i]) + 2 > sizeof(path))
			return none(r);
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s%s", i > 1 ? "/" : "",
			 r->seg[i]);
	}
	if (api_of(r)->opt->web_root)
		return from_dir(r, path);
	file = sq_ui_find(path);
	if (!file)
		return none(r);
	response = sq_ui_response(r->conn, file, &status);
	return reply_response(r, status, response);
}

/* The path is from the top of the tree, where make runs. */
__asm__(".pushsection .rodata\n"
	".global openapi_begin\n"
	".global openapi_end\n"
	"openapi_begin: .incbin \"user/squalld/api/openapi.json\"\n"
	"openapi_end: .byte 0\n"
	".popsection\n");
extern const char openapi_begin[], openapi_end[];

enum MHD_Result api_openapi(struct request *r, const char *name)
{
	(void)name;
	return reply_text(r, 200, "application/json", openapi_begin,
			  (size_t)(openapi_end - openapi_begin));
}
