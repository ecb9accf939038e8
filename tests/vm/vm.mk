# SPDX-License-Identifier: GPL-2.0-only
.PHONY: test-vm
## test-vm: the kernel tests on real 6.1 and 6.12 kernels; K=6.1 picks one, T=pattern
K ?=
test-vm: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)B=$(B) tests/vm/run $(if $(T),-p '$(T)') $(K)

.PHONY: test-flows-vm
## test-flows-vm: hang and reset against mosquitto, openssl and curl in the guests, on their fq lane; K=6.1 (15 minutes each)
test-flows-vm: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)B=$(B) VM_TOOLS="mosquitto mosquitto_pub mosquitto_sub openssl curl" \
		tests/vm/run -t 2400 -p '^kernel/flows-(real|tls)' $(K)
