// SPDX-License-Identifier: GPL-2.0-only
/* GET /api/v1/openapi.json: openapi.json of this directory, as it is. */
#include "squalld/api/api.h"

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
