# SPDX-License-Identifier: GPL-2.0-only
# The panel has no build step: squalld and squall-sim embed the files of web/
# as they are (user/lib/httpd/ui_files.c, with .incbin, which -MMD does not see).
UPLOT_VERSION := 1.6.32

web_files := $(wildcard web/*.html web/*.css web/*.js web/*.svg web/vendor/uplot/*)
web_gz := $(patsubst web/%,$(B)/gen/web/%.gz,$(web_files))

$(web_gz): $(B)/gen/web/%.gz: web/%
	$(Q)mkdir -p $(@D)
	$(Q)gzip -9nc $< > $@
$(B)/user/lib/httpd/ui_files.o: $(web_files) $(web_gz)
# A file that the list in ui_files.c forgets would be a page that never loads.
ui_unlisted := $(foreach f,$(filter-out %/README %/SHA256SUMS,$(web_files)),\
	$(if $(shell grep -F '"$(f:web/%=%)"' user/lib/httpd/ui_files.c),,$(f)))
$(if $(strip $(ui_unlisted)),$(error user/lib/httpd/ui_files.c does not embed $(strip $(ui_unlisted))))
$(B)/user/lib/httpd/ui_files.o: CSTD += -DSQ_UI_GZIPPED='"$(B)/gen/web/"'

## web: fetch the panel's chart library (uPlot) from npm again and check it
.PHONY: web
web:
	$(Q)d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && \
	(cd "$$d" && npm pack --silent uplot@$(UPLOT_VERSION) >/dev/null && \
	  tar xzf uplot-$(UPLOT_VERSION).tgz) && \
	mkdir "$$d/new" && cp "$$d"/package/dist/uPlot.iife.min.js "$$d"/package/dist/uPlot.min.css \
	  "$$d"/package/LICENSE "$$d/new/" && \
	(cd "$$d/new" && sha256sum --quiet -c "$(CURDIR)/web/vendor/uplot/SHA256SUMS") && \
	cp "$$d"/new/* web/vendor/uplot/ && echo "web/vendor/uplot: $(UPLOT_VERSION), checksums match"

# make check-web: the vendored files are what their checksums say.
.PHONY: check-web
## check-web: is that library what its checksums say
check-web:
	$(Q)cd web/vendor/uplot && sha256sum --quiet -c SHA256SUMS
