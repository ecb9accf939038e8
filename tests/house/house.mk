# SPDX-License-Identifier: GPL-2.0-only
# The checks that keep the house as docs/ARCHITECTURE.md says it is.
.PHONY: format format-check layers layers-update
c_files = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find bpf include tests user -name '*.[ch]')
CLANG_FORMAT ?= clang-format

## format: every C file by .clang-format; format-check only says which are not
format:
	$(Q)printf '%s\n' $(wildcard $(c_files)) | xargs -n 30 -P $$(nproc) $(CLANG_FORMAT) -i
format-check:
	$(Q)printf '%s\n' $(wildcard $(c_files)) | \
	  xargs -n 30 -P $$(nproc) $(CLANG_FORMAT) --dry-run -Werror --ferror-limit=1

## layers: which folder uses one it may not, from nm; layers-update shortens layers.known
layers: all
	$(Q)B=$(B) tests/house/layers
layers-update: all
	$(Q)B=$(B) tests/house/layers --update
