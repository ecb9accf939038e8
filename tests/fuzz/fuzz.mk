# SPDX-License-Identifier: GPL-2.0-only
# tests/fuzz/NAME.c is a libFuzzer target (LLVMFuzzerTestOneInput). Our own code
# under it is compiled once more, by clang with coverage, ASan and UBSan. A first
# line "// libs: -Lsim -lfoo" names what it links besides user/lib; -Lsim,
# -Lsqualld and -Lsquall stand for those folders' code and what that links.
# Its seeds are tests/fuzz/corpus/NAME/*; tests/fuzz/NAME.test runs it in CI.
F := build/fuzz
FUZZ_CFLAGS := $(filter-out -Werror,$(CSTD)) -O1 -g -fno-omit-frame-pointer \
	       -fno-sanitize-recover=all -DSQUALL_FUZZ

fuzz_objs = $(patsubst %.c,$(F)/%.o,$(shell find $(1) -name '*.c' ! -path $(1)/main.c))
fuzz_names := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
fuzz_bins := $(addprefix $(F)/,$(fuzz_names))

$(F)/user/%.o: user/%.c $(skels) tests/fuzz/fuzz.mk
	$(call say,FUZZCC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -MMD -MP -c $< -o $@

# Embeds web/, see web/web.mk.
$(F)/user/lib/httpd/ui_files.o: FUZZ_CFLAGS += -DSQ_UI_GZIPPED='"$(B)/gen/web/"'
$(F)/user/lib/httpd/ui_files.o: | $(web_gz)

define fuzz_archive
$(F)/lib$(1).a: $(call fuzz_objs,user/$(1))
	$$(call say,AR,$$@)
	$$(Q)mkdir -p $$(@D) && rm -f $$@ && ar qcs $$@ $$^
endef
$(foreach l,lib squalld squall sim,$(eval $(call fuzz_archive,$(l))))

fuzz_libs = $(shell sed -n '1s|^// libs:||p' tests/fuzz/$(1).c)
fuzz_ours = $(foreach l,sim squalld squall,$(if $(filter -L$(l),$(call fuzz_libs,$(1))),$(l)))
define fuzz_target
$(F)/$(1): tests/fuzz/$(1).c $(foreach l,$(call fuzz_ours,$(1)) lib,$(F)/lib$(l).a)
	$$(call say,FUZZ,$$@)
	$$(Q)$$(CLANG) $$(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined -o $$@ $$^ \
	    $(filter-out -Lsim -Lsqualld -Lsquall,$(call fuzz_libs,$(1))) \
	    $(foreach l,$(call fuzz_ours,$(1)),$$(LDLIBS_$(l))) $$(LDLIBS_lib) -lpthread
endef
$(foreach n,$(fuzz_names),$(eval $(call fuzz_target,$(n))))

.PHONY: fuzz fuzz-bins fuzz-corpus
## fuzz-bins: the fuzz targets, without running any
fuzz-bins: $(fuzz_bins)
test-bins: fuzz-bins

FUZZ_SECONDS ?= 600
FUZZ ?= $(fuzz_names)
## fuzz: every fuzz target (FUZZ="mqtt" picks) for FUZZ_SECONDS (600), two at a time
fuzz: fuzz-bins
	$(Q)printf '%s\n' $(FUZZ) | xargs -P 2 -I{} tests/fuzz/run {} $(FUZZ_SECONDS)

## fuzz-corpus: the same, and what reached new code is added to tests/fuzz/corpus
fuzz-corpus: fuzz-bins
	$(Q)printf '%s\n' $(FUZZ) | xargs -P 2 -I{} tests/fuzz/run -k {} $(FUZZ_SECONDS)

-include $(shell find $(F) -name '*.d' 2>/dev/null)
