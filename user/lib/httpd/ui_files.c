// SPDX-License-Identifier: GPL-2.0-only
/*
 * web/ inside the programs: no path to install or to get wrong, and the panel
 * always fits the daemon it talks to. Each file is there as it is and gzipped
 * (by web/web.mk, which also names the files as dependencies). .incbin is read
 * by the assembler, whose folder is the top of the tree.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <squall/ui.h>

#define HTML "text/html; charset=utf-8"
#define CSS  "text/css; charset=utf-8"
#define JS   "text/javascript; charset=utf-8"
#define SVG  "image/svg+xml"
#define TEXT "text/plain; charset=utf-8"
#define PNG  "image/png"

#define FILES(X)                                                                                   \
	X(index_html, "index.html", HTML)                                                          \
	X(app_css, "app.css", CSS)                                                                 \
	X(app_js, "app.js", JS)                                                                    \
	X(api_js, "api.js", JS)                                                                    \
	X(dom_js, "dom.js", JS)                                                                    \
	X(units_js, "units.js", JS)                                                                \
	X(store_js, "store.js", JS)                                                                \
	X(chart_js, "chart.js", JS)                                                                \
	X(faults_js, "faults.js", JS)                                                              \
	X(target_js, "target.js", JS)                                                              \
	X(editor_js, "editor.js", JS)                                                              \
	X(timeline_js, "timeline.js", JS)                                                          \
	X(load_js, "load.js", JS)                                                                  \
	X(history_js, "history.js", JS)                                                            \
	X(experiments_js, "experiments.js", JS)                                                    \
	X(kernel_js, "kernel.js", JS)                                                              \
	X(copy_js, "copy.js", JS)                                                                  \
	X(profiles_js, "profiles.js", JS)                                                          \
	X(several_js, "several.js", JS)                                                            \
	X(selector_js, "selector.js", JS)                                                          \
	X(rule_js, "rule.js", JS)                                                                  \
	X(undo_js, "undo.js", JS)                                                                  \
	X(explain_js, "explain.js", JS)                                                            \
	X(flows_js, "flows.js", JS)                                                                \
	X(now_js, "now.js", JS)                                                                    \
	X(icon_svg, "icon.svg", SVG)                                                               \
	X(uplot_js, "vendor/uplot/uPlot.iife.min.js", JS)                                          \
	X(uplot_css, "vendor/uplot/uPlot.min.css", CSS)                                            \
	X(uplot_licence, "vendor/uplot/LICENSE", TEXT)

#define BYTES(symbol, file)                                                                        \
	__asm__(".pushsection .rodata\n" symbol ":\n"                                              \
		".incbin \"" file "\"\n" symbol "_end:\n"                                          \
		".byte 0\n"                                                                        \
		".popsection\n")
#define EMBED(name, path, type)                                                                    \
	BYTES("ui_" #name, "web/" path);                                                           \
	BYTES("uz_" #name, SQ_UI_GZIPPED path ".gz");                                              \
	extern const unsigned char ui_##name[], ui_##name##_end[];                                 \
	extern const unsigned char uz_##name[], uz_##name##_end[];
FILES(EMBED)

#define COUNT(name, path, type) +1
static struct sq_ui_file files[0 FILES(COUNT)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* FNV-1a: tells versions apart for caches; nothing depends on it being hard to collide. */
static uint64_t hash(const unsigned char *data, size_t size)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		h = (h ^ data[i]) * 0x100000001b3u;
	return h;
}

static void fill(void)
{
	struct sq_ui_file *f = files;

#define ENTRY(name, p, t)                                                                          \
	f->path = p;                                                                               \
	f->type = t;                                                                               \
	f->data = ui_##name;                                                                       \
	f->size = (size_t)(ui_##name##_end - ui_##name);                                           \
	f->gz_data = uz_##name;                                                                    \
	f->gz_size = (size_t)(uz_##name##_end - uz_##name);                                        \
	snprintf(f->etag, sizeof(f->etag), "\"%016" PRIx64 "\"", hash(ui_##name, f->size));        \
	f++;
	FILES(ENTRY)
}

const struct sq_ui_file *sq_ui_find(const char *path)
{
	pthread_once(&once, fill);
	if (!*path)
		path = "index.html";
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (!strcmp(files[i].path, path))
			return &files[i];
	return NULL;
}

const char *sq_ui_type(const char *path)
{
	static const char *const types[][2] = {
		{".html", HTML}, {".js", JS}, {".css", CSS}, {".svg", SVG}, {".png", PNG},
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(types[i][0], dot))
			return types[i][1];
	return "application/octet-stream";
}
