# SPDX-License-Identifier: GPL-2.0-only
# Programs for arm64 (Graviton) on an x86-64 machine: Debian's cross compiler
# and a folder with Debian's arm64 libraries, unpacked and never configured.
ARM64      := build/arm64
ARM64_DEPS := gcc-aarch64-linux-gnu libc6-dev-arm64-cross mmdebstrap ca-certificates
ARM64_ROOT := $(abspath $(ARM64))/root
# What the programs are linked with, and certificates for the simulator.
ARM64_LIBS := $(filter %-dev,$(BUILD_DEPS)) ca-certificates

ARM64_PROGRAMS ?= squalld squall squall-sim

## arm64: the programs for arm64, cross-compiled, in build/arm64/bin
.PHONY: arm64 arm64-root
arm64: arm64-root
	$(Q)$(MAKE) --no-print-directory B=$(ARM64) ARCH=aarch64 SYSROOT=$(ARM64_ROOT) \
	  CC='aarch64-linux-gnu-gcc --sysroot=$(ARM64_ROOT)' $(addprefix $(ARM64)/bin/,$(ARM64_PROGRAMS))

## arm64-root: the folder of arm64 libraries that arm64 is linked with
arm64-root:
	$(call install_missing,$(BUILD_DEPS) $(ARM64_DEPS))
	$(Q)deploy/docker/sysroot $(ARM64_ROOT) arm64 $(ARM64_LIBS)

## test-arm64: all programs for arm64, cross-compiled and run under qemu-user
.PHONY: test-arm64
test-arm64: deps-test
	$(Q)$(MAKE) --no-print-directory test-bins
	$(Q)ARM64_PROGRAMS='squalld squall squall-sim' B=$(B) tests/run -t arm64 deploy

## test-images-full: the images as a user builds them, amd64 and arm64 (many minutes, 3 GB)
.PHONY: test-images-full
test-images-full: deps-test
	$(Q)B=$(B) tests/deploy/images-full
