# SPDX-License-Identifier: GPL-2.0-only
# Squall. `make help` lists what there is. All output goes to build/.

V ?= 0
ifeq ($(V),0)
Q := @
say = @printf '  %-7s %s\n' '$(1)' '$(2)'
else
Q :=
say =
endif

CC       ?= cc
CLANG    ?= clang
BPFTOOL  ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
PREFIX   ?= /usr/local
DESTDIR  ?=
B        ?= build
VERSION  := 0.1.0

ARCH     := $(shell uname -m)
BPF_ARCH := $(if $(filter aarch64,$(ARCH)),arm64,x86)

# SAN=1 builds everything with ASan and UBSan, into a folder of its own.
SAN ?= 0
ifeq ($(SAN),1)
B := build/san
SANFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

CFLAGS   ?= -O2 -g
# For releases: no path of the building machine in any program (see deploy/release.mk).
PREFIX_MAP ?=
CSTD     := -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	    -Wformat=2 -Wvla -D_GNU_SOURCE -DSQUALL_VERSION='"$(VERSION)"' -Iinclude -Iuser -I$(B)/gen
# What the sanitizers do better, or would not understand, is left out there. The stack of a
# function is bounded, so that a recursion as deep as a rule or a schedule nests stays far from
# a thread's 8 MB: 32 KiB, as the largest today has 24 (two names of a target and a path each).
HARDEN   := $(if $(SANFLAGS)$(filter -O0,$(CFLAGS)),,-D_FORTIFY_SOURCE=2 -fstack-protector-strong \
	    -Wframe-larger-than=32768)
HARDENLD := $(if $(SANFLAGS),,-Wl,-z,relro,-z,now)
LDLIBS_lib     := -ljansson -lm
LDLIBS_squalld := -lbpf -lmnl -lmicrohttpd -lcurl -lcap -lseccomp -lcrypto -lz -lpthread
LDLIBS_squall  := -lbpf -lncursesw -lresolv
# Only the program: sanitizers bring an allocator of their own. See user/sim/base/heap.c.
HEAP_sim       := $(if $(SANFLAGS),,-ljemalloc)
LDLIBS_sim     := -lssl -lcrypto -lyaml -lzmq -lmsgpackc -lcurl -lmicrohttpd -lpaho-mqtt3as -lpthread

# What a fresh Debian 12 lacks; `make deps` installs what is missing.
BUILD_DEPS := gcc make clang llvm bpftool pkg-config libc6-dev libbpf-dev libelf-dev zlib1g-dev \
	libmnl-dev libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libcap-dev libseccomp-dev \
	libncurses-dev libssl-dev libyaml-dev libzmq3-dev libmsgpack-dev libpaho-mqtt-dev libjemalloc-dev
DEMO_DEPS  := iproute2 iputils-ping mosquitto mosquitto-clients procps jq
TEST_DEPS  := $(DEMO_DEPS) libcmocka-dev iperf3 ethtool curl jq tshark openssl python3 \
	libmosquitto-dev libasan8 libubsan1 libclang-rt-14-dev busybox-static netcat-openbsd \
	$(shell cat tests/*/deps 2>/dev/null)

## all: squalld, squall and squall-sim, in build/bin (what `make` alone does)
progs := $(B)/bin/squalld $(B)/bin/squall $(B)/bin/squall-sim
.PHONY: all
all: $(progs)

# What is missing is said in one line, once: a compiler's "No such file" for each
# of forty objects names the header, not the package.
NEED_HEADERS := bpf/libbpf.h libmnl/libmnl.h jansson.h microhttpd.h curl/curl.h sys/capability.h seccomp.h \
	curses.h openssl/ssl.h yaml.h zmq.h msgpack.h MQTTAsync.h jemalloc/jemalloc.h
$(B)/packages:
	$(Q)for c in $(firstword $(CC)) $(CLANG) $(BPFTOOL); do command -v $$c >/dev/null || { missing=$$c; break; }; done; \
	[ -n "$$missing" ] || missing=$$(printf '#include <%s>\n' stdint.h stddef.h stdio.h $(NEED_HEADERS) | \
	  $(CC) $(CPPFLAGS) -E -x c - 2>&1 >/dev/null | sed -n 's/.*error: \([^:]*\): No such.*/\1/p' | head -1); \
	if [ -n "$$missing" ]; then \
	  echo "squall: $$missing is missing; as root: make deps (Debian 12; elsewhere install: $(BUILD_DEPS))" >&2; exit 1; fi
	$(Q)mkdir -p $(@D) && : > $@

# --- BPF ---------------------------------------------------------------------
bpf_hdrs := $(wildcard bpf/*.h include/squall/*.h vmlinux/*.h vmlinux/*/*.h)
BPFFLAGS := $(PREFIX_MAP) -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -D__TARGET_ARCH_$(BPF_ARCH) \
	    -Iinclude -Ivmlinux -Ivmlinux/$(BPF_ARCH) \
	    -I$(SYSROOT)/usr/include/$(shell $(CC) -print-multiarch 2>/dev/null)

# mkdir and no order-only folder: a folder yet to be made would have make prefer
# the rule for C below.
$(B)/bpf/%.bpf.o: bpf/%.bpf.c $(bpf_hdrs) | $(B)/packages
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -c $< -o $@

$(B)/gen/%.skel.h: $(B)/bpf/%.bpf.o | $(B)/gen/
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@

skels := $(patsubst bpf/%.bpf.c,$(B)/gen/%.skel.h,$(wildcard bpf/*.bpf.c))

# --- C -----------------------------------------------------------------------
# One static library per program, so that unit tests link the very objects the
# programs are made of; a program's main() lives in main.c and stays out.
objs = $(patsubst %.c,$(B)/%.o,$(shell find $(1) -name '*.c' ! -path $(1)/main.c))
lib_objs     := $(call objs,user/lib)
squalld_objs := $(call objs,user/squalld)
squall_objs  := $(call objs,user/squall)
sim_objs     := $(call objs,user/sim)

$(B)/%.o: %.c $(skels) Makefile | $(B)/packages
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(CFLAGS) $(PREFIX_MAP) $(HARDEN) $(SANFLAGS) -MMD -MP -c $< -o $@

# Embedded with .incbin, which -MMD does not see.
$(B)/user/sim/run/locustfile.o: user/sim/run/locust_faults.py

define archive
$(B)/lib$(1).a: $$($(1)_objs)
	$$(call say,AR,$$@)
	$$(Q)rm -f $$@ && ar qcs $$@ $$^
endef
$(foreach l,lib squalld squall sim,$(eval $(call archive,$(l))))

define program
$(B)/bin/$(1): $(B)/user/$(2)/main.o $(B)/lib$(3).a $(B)/liblib.a | $(B)/bin/
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(SANFLAGS) $$(HARDENLD) $$(LDFLAGS) -o $$@ $$(filter %.o %.a,$$^) $$(LDLIBS_$(3)) $$(LDLIBS_lib) $(4)
endef
$(eval $(call program,squalld,squalld,squalld))
$(eval $(call program,squall,squall,squall))
$(eval $(call program,squall-sim,sim,sim,$(HEAP_sim)))

# --- tests' own programs -------------------------------------------------------
# tests/unit/sim_*.c, d_*.c and cli_*.c may use the simulator's, the daemon's
# and the command line's objects; every other unit test only the library's.
unit_extra = $(if $(filter sim_%,$(1)),sim)$(if $(filter d_%,$(1)),squalld)$(if $(filter cli_%,$(1)),squall)
unit_bins := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(wildcard tests/unit/*.c))
define unit
$(B)/tests/unit/$(1): $(B)/tests/unit/$(1).o $(patsubst %,$(B)/lib%.a,$(call unit_extra,$(1))) $(B)/liblib.a
	$$(call say,LD,$$@)
	$$(Q)$$(CC) $$(CFLAGS) $$(SANFLAGS) -o $$@ $$(filter %.o %.a,$$^) -lcmocka $(foreach x,$(call unit_extra,$(1)),$$(LDLIBS_$(x))) -lbpf $$(LDLIBS_lib) -lpthread
endef
$(foreach t,$(notdir $(unit_bins)),$(eval $(call unit,$(t))))

# tests/{tools,sim,bench}/X.c: one-file programs, build/tests/DIR/X. A first
# line "// libs: -lfoo" names what they link besides the libraries.
tool_bins := $(patsubst %.c,$(B)/%,$(filter-out %.bpf.c,$(wildcard tests/tools/*.c tests/sim/*.c tests/bench/*.c)))
$(tool_bins): $(B)/%: %.c $(B)/liblib.a $(wildcard tests/tools/*.h tests/sim/*.h) $(skels)
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(CSTD) $(CFLAGS) $(SANFLAGS) -Itests -o $@ $< \
	    $(patsubst -Lsim,$(B)/libsim.a $(LDLIBS_sim),$(shell sed -n '1s|^// libs:||p' $<)) \
	    $(B)/liblib.a $(LDLIBS_lib) -lpthread

.PHONY: test-bins unit-bins
## test-bins: the programs, the unit tests and the tests' own tools, without running any
## unit-bins: the unit tests alone
unit-bins: $(unit_bins)
test-bins: all unit-bins $(tool_bins)

%/:
	$(Q)mkdir -p $@

# --- jobs ----------------------------------------------------------------------
.PHONY: deps deps-demo deps-test demo test clean help
install_missing = @missing=$$(dpkg-query -W -f '$${Status} $${Package}\n' $(1) 2>/dev/null | \
	awk '$$3 == "installed" {print $$4}' | sort > /tmp/squall-have.$$$$; \
	printf '%s\n' $(1) | sort -u | comm -23 - /tmp/squall-have.$$$$; rm -f /tmp/squall-have.$$$$); \
	if [ -n "$$missing" ]; then echo "installing: "$$missing; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends $$missing >/dev/null; fi
## deps: install what building needs (Debian 12, as root)
deps:
	$(call install_missing,$(BUILD_DEPS))
## deps-demo: and what the demo needs
deps-demo:
	$(call install_missing,$(BUILD_DEPS) $(DEMO_DEPS))
## deps-test: and what the tests need
deps-test:
	$(call install_missing,$(BUILD_DEPS) $(TEST_DEPS))

## demo: watch devices suffer a real, in-kernel fault and recover (about a minute)
demo: deps-demo
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)B=$(B) tests/demo

## test: everything CI runs; AREAS="unit kernel" picks, T=pattern picks further
AREAS ?=
T ?=
test: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) SAN=1 test-bins
	$(Q)B=$(B) tests/run -t '$(T)' $(AREAS)

## clean: remove build/
clean:
	rm -rf build

# Without the .d files that the include below adds: with every test built their names are longer
# than the 128 KiB that the kernel takes as one argument (MAX_ARG_STRLEN), and sh is not begun.
MAKEFILES_WRITTEN := Makefile $(wildcard deploy/*.mk web/*.mk tests/*/*.mk)

## help: this list
help:
	@grep -hE '^## ' $(MAKEFILES_WRITTEN) | sed 's/^## /  make /' | tee /tmp/squall-help.$$$$; \
	for t in $$(sed -n 's/^\.PHONY: //p' $(MAKEFILES_WRITTEN)); do \
	  grep -qE "(^|[ ,;])$$t([:,; ]|$$)" /tmp/squall-help.$$$$ || echo "  make $$t"; done; rm -f /tmp/squall-help.$$$$

-include $(filter-out Makefile,$(MAKEFILES_WRITTEN))
-include $(shell find $(B) \( -path $(B)/vm -o -path $(B)/deploy -o -path $(B)/arm64 -o -path $(B)/root \) -prune \
	-o -type f -name '*.d' -print 2>/dev/null)
.DELETE_ON_ERROR:
.SECONDARY:
