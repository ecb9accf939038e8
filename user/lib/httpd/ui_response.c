// SPDX-License-Identifier: GPL-2.0-only
/* How the panel's files are answered: the headers, ETag and gzip, for squalld and squall-sim. */
#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <squall/ui.h>

/* No inline script or style exists in web/; connect-src 'self' is what makes
 * "no request to another host" binding. */
#define CSP                                                                                        \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "          \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

struct MHD_Response *sq_ui_headers(struct MHD_Response *r)
{
	if (!r)
		return NULL;
	MHD_add_response_header(r, "Content-Security-Policy", CSP);
	MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
	MHD_add_response_header(r, "Cross-Origin-Opener-Policy", "same-origin");
	MHD_add_response_header(r, "Cache-Control", "no-cache");
	return r;
}

static struct MHD_Response *from_memory(const void *data, size_t size)
{
	return sq_ui_headers(MHD_create_response_from_buffer(size, (void *)(uintptr_t)data,
							     MHD_RESPMEM_PERSISTENT));
}

bool sq_accepts_gzip(const char *accept_encoding)
{
	const char *gzip = accept_encoding ? strstr(accept_encoding, "gzip") : NULL;

	return gzip && strncmp(gzip + 4, ";q=0", 4);
}

struct MHD_Response *sq_ui_response(struct MHD_Connection *c, const struct sq_ui_file *file,
				    unsigned int *ret_status)
{
	const char *have = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept-Encoding");
	bool same = have && strstr(have, file->etag);
	bool packed = file->gz_data && sq_accepts_gzip(accept);
	struct MHD_Response *r = same	  ? from_memory("", 0)
				 : packed ? from_memory(file->gz_data, file->gz_size)
					  : from_memory(file->data, file->size);

	if (!r)
		return NULL;
	MHD_add_response_header(r, "ETag", file->etag);
	MHD_add_response_header(r, "Vary", "Accept-Encoding");
	if (!same && packed)
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	if (!same)
		MHD_add_response_header(r, "Content-Type", file->type);
	*ret_status = same ? MHD_HTTP_NOT_MODIFIED : MHD_HTTP_OK;
	return r;
}

struct MHD_Response *sq_ui_response_fd(int fd, const char *path)
{
	struct MHD_Response *r = NULL;
	struct stat st;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		r = sq_ui_headers(MHD_create_response_from_fd((size_t)st.st_size, fd));
	if (r)
		MHD_add_response_header(r, "Content-Type", sq_ui_type(path));
	else
		close(fd);
	return r;
}

struct MHD_Response *sq_ui_redirect(void)
{
	struct MHD_Response *r = from_memory("", 0);

	if (r)
		MHD_add_response_header(r, "Location", "/ui/");
	return r;
}
