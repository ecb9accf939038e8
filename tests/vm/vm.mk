# SPDX-License-Identifier: GPL-2.0-only
.PHONY: test-vm
## test-vm: the kernel tests on real 6.1 and 6.12 kernels; K=6.1 picks one, T=pattern
K ?=
test-vm: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)B=$(B) tests/vm/run $(if $(T),-p '$(T)') $(K)
