// SPDX-License-Identifier: GPL-2.0-only
/* GET /ui/...: the panel, from inside the program or from --web-root. No secret, no token. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <squall/ui.h>
#include "web_files.h"

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, struct MHD_Response *resp)
{
	enum MHD_Result rc;

	if (!resp)
		return MHD_NO;
	MHD_add_response_header(resp, "Content-Security-Policy", SQ_UI_CSP);
	MHD_add_response_header(resp, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(resp, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(resp, "Cross-Origin-Opener-Policy", "same-origin");
	MHD_add_response_header(resp, "Cache-Control", "no-cache");
	rc = MHD_queue_response(c, status, resp);
	MHD_destroy_response(resp);
	return rc;
}

static struct MHD_Response *still(const void *data, size_t size)
{
	return MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result none(struct MHD_Connection *c)
{
	static const char text[] = "{\"error\":\"the panel has no such file\"}";
	struct MHD_Response *resp = still(text, sizeof(text) - 1);

	if (resp)
		MHD_add_response_header(resp, "Content-Type", "application/json");
	return answer(c, 404, resp);
}

/* What leaves the folder, by dots or by a link, is not there. */
static enum MHD_Result from_dir(struct MHD_Connection *c, const char *root, const char *path)
{
	char full[PATH_MAX], real[PATH_MAX];
	struct MHD_Response *resp;
	struct stat st;
	int fd;

	snprintf(full, sizeof(full), "%.2000s/%.1000s", root, *path ? path : "index.html");
	if (!realpath(full, real) || strncmp(real, root, strlen(root)) || real[strlen(root)] != '/')
		return none(c);
	fd = open(real, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		return none(c);
	}
	resp = MHD_create_response_from_fd((size_t)st.st_size, fd);
	if (!resp) {
		close(fd);
		return MHD_NO;
	}
	MHD_add_response_header(resp, "Content-Type", sq_ui_type(real));
	return answer(c, 200, resp);
}

enum MHD_Result sim_web_file(struct MHD_Connection *c, const char *root, const char *path)
{
	const char *have = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept-Encoding");
	const char *gzip = accept ? strstr(accept, "gzip") : NULL;
	const struct sq_ui_file *file;
	struct MHD_Response *resp;
	bool same, packed;

	if (*root)
		return from_dir(c, root, path);
	file = sq_ui_find(path);
	if (!file)
		return none(c);
	same = have && strstr(have, file->etag);
	packed = file->gz_data && gzip && strncmp(gzip + 4, ";q=0", 4);
	resp = same ? still("", 0) : packed ? still(file->gz_data, file->gz_size) :
					      still(file->data, file->size);
	if (!resp)
		return MHD_NO;
	MHD_add_response_header(resp, "ETag", file->etag);
	MHD_add_response_header(resp, "Vary", "Accept-Encoding");
	if (same)
		return answer(c, 304, resp);
	if (packed)
		MHD_add_response_header(resp, "Content-Encoding", "gzip");
	MHD_add_response_header(resp, "Content-Type", file->type);
	return answer(c, 200, resp);
}

enum MHD_Result sim_web_redirect(struct MHD_Connection *c)
{
	struct MHD_Response *resp = still("", 0);

	if (resp)
		MHD_add_response_header(resp, "Location", "/ui/");
	return answer(c, 302, resp);
}
