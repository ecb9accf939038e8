// SPDX-License-Identifier: GPL-2.0-only
/* GET /ui/...: the panel, from inside the program or from --web-root. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <squall/ui.h>
#include "http.h"

static enum MHD_Result answer(struct request *r, unsigned int status, struct MHD_Response *response)
{
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Security-Policy", SQ_UI_CSP);
	MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
	MHD_add_response_header(response, "Cache-Control", "no-cache");
	return reply_response(r, status, response);
}

static enum MHD_Result from_dir(struct request *r, const char *path)
{
	int dir = open(r->d->opt->web_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd;
	struct MHD_Response *response;
	struct stat st;

	fd = dir < 0 ? -1 : openat(dir, *path ? path : "index.html", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (dir >= 0)
		close(dir);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return reply_status(r, 404, "path", "path: the panel has no such file");
	}
	response = MHD_create_response_from_fd((uint64_t)st.st_size, fd); /* closes fd */
	if (!response) {
		close(fd);
		return MHD_NO;
	}
	MHD_add_response_header(response, "Content-Type", sq_ui_type(*path ? path : "index.html"));
	return answer(r, 200, response);
}

static bool accepts_gzip(struct request *r)
{
	const char *accept = request_header(r, "Accept-Encoding"), *gzip = accept ? strstr(accept, "gzip") : NULL;

	return gzip && strncmp(gzip + 4, ";q=0", 4) != 0;
}

enum MHD_Result static_serve(struct request *r)
{
	const char *none = request_header(r, "If-None-Match");
	struct MHD_Response *response;
	const struct sq_ui_file *file;
	char path[256] = "";
	bool gzip;

	if (r->n_seg == 1 && r->target[strcspn(r->target, "?") - 1] != '/') {
		response = MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT);
		if (!response)
			return MHD_NO;
		MHD_add_response_header(response, "Location", "/ui/");
		return answer(r, 308, response);
	}
	for (int i = 1; i < r->n_seg; i++) {
		/* A decoded segment may hold slashes and dots. */
		if (strchr(r->seg[i], '/') || r->seg[i][0] == '.' || !r->seg[i][0] ||
		    strlen(path) + strlen(r->seg[i]) + 2 > sizeof(path))
			return reply_status(r, 404, "path", "path: the panel has no such file");
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "%s%s", i > 1 ? "/" : "", r->seg[i]);
	}
	if (r->d->opt->web_root)
		return from_dir(r, path);
	file = sq_ui_find(path);
	if (!file)
		return reply_status(r, 404, "path", "path: the panel has no such file");
	gzip = file->gz_data && accepts_gzip(r);
	response = none && strstr(none, file->etag) ?
		MHD_create_response_from_buffer(0, (void *)(uintptr_t)"", MHD_RESPMEM_PERSISTENT) :
		MHD_create_response_from_buffer(gzip ? file->gz_size : file->size,
						(void *)(uintptr_t)(gzip ? file->gz_data : file->data), MHD_RESPMEM_PERSISTENT);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "ETag", file->etag);
	MHD_add_response_header(response, "Vary", "Accept-Encoding");
	if (none && strstr(none, file->etag))
		return answer(r, 304, response);
	if (gzip)
		MHD_add_response_header(response, "Content-Encoding", "gzip");
	MHD_add_response_header(response, "Content-Type", file->type);
	return answer(r, 200, response);
}
