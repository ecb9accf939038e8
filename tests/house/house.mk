# SPDX-License-Identifier: GPL-2.0-only
# The checks that keep the house as docs/ARCHITECTURE.md says it is.
.PHONY: format format-check layers stack
c_files = $(shell git ls-files '*.c' '*.h' 2>/dev/null || find bpf include tests user -name '*.[ch]')
CLANG_FORMAT ?= clang-format

## format: every C file by .clang-format
format:
	$(Q)printf '%s\n' $(wildcard $(c_files)) | xargs -n 30 -P $$(nproc) $(CLANG_FORMAT) -i
## format-check: which C files are not as clang-format leaves them
format-check:
	$(Q)printf '%s\n' $(wildcard $(c_files)) | \
	  xargs -n 30 -P $$(nproc) $(CLANG_FORMAT) --dry-run -Werror --ferror-limit=1

## layers: which folder uses one it may not, and which files go in circles, from nm
layers: all
	$(Q)B=$(B) tests/house/layers

## stack: which chain of calls of the BPF programs needs most of the 512 bytes of stack
stack: $(skels)
	$(Q)tests/house/stack -v $(B)/bpf/*.bpf.o

# Every header by itself: what it uses, it includes. One run of the compiler's driver for all.
.PHONY: headers tsan analyze coverage
c_headers := $(wildcard include/squall/*.h user/*.h user/*/*.h user/*/*/*.h)
## headers: each header compiles by itself
headers: $(skels)
	$(Q)$(CC) $(CSTD) -fsyntax-only -x c $(c_headers)
	$(Q)$(CLANG) $(BPFFLAGS) -Wno-unused-function -fsyntax-only -x c $(wildcard bpf/*.h)

## tsan: the unit tests and a run of each program under the thread sanitizer, in build/tsan
tsan: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) B=build/tsan SANFLAGS='-fsanitize=thread -fno-omit-frame-pointer' all unit-bins
	$(Q)tests/house/tsan build/tsan/tests/unit/*
	$(Q)B=$(B) tests/house/tsan-programs build/tsan/bin

## analyze: clang's static analyzer over every C file of user/; fails on what it finds
# What it says of libbpf's generated skeletons, which it meets in kernel/engine.c, is not ours.
analyze: $(skels)
	$(Q)find user -name '*.c' ! -name ui_files.c | sort | xargs -n 1 -P $$(nproc) \
	  $(CLANG) --analyze --analyzer-output text $(filter-out -W%,$(CSTD)) -O1 >$(B)/analyze 2>&1 || true
	$(Q)cat $(B)/analyze; ! grep -E '^user/[^:]*:[0-9:]+ (fatal |)(warning|error):' $(B)/analyze

## coverage: lines that the unit tests run, by folder, in build/cov
coverage: deps-test
	$(Q)find build/cov -name '*.gcda' -delete 2>/dev/null || true
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) B=build/cov CFLAGS='-O0 -g' SANFLAGS=--coverage unit-bins
	$(Q)for t in $$(find build/cov/tests/unit -type f -perm -u+x); do \
	  $$t >build/cov/log 2>&1 || { tail -n 20 build/cov/log; echo "$$t failed"; exit 1; }; done
	$(Q)tests/house/coverage build/cov
