# The look-up alone, of the data path's own headers.
$(B)/tests/bench/lookup.bpf.o: tests/bench/lookup.bpf.c $(bpf_hdrs) | $(B)/packages
	$(call say,BPF,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -Wno-unused-function -c $< -o $@
$(B)/gen/lookup.skel.h: $(B)/tests/bench/lookup.bpf.o | $(B)/gen/
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name lookup_bpf > $@
$(B)/tests/bench/flows: $(B)/gen/lookup.skel.h

.PHONY: bench-bpf
## bench-bpf: cost of a packet, of an attached interface and of setting a rule, as ratios
bench-bpf: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)B=$(B) tests/bench/bpf.sh

.PHONY: test-flows-fleet
## test-flows-fleet: 20,000 devices with a link of 8 kbit/s each, each within 5 % of its rate (3 minutes)
test-flows-fleet: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) FLOWS_DEVICES=20000 FLOWS_SECONDS=60 FLOWS_PAYLOAD=1000 FLOWS_RAMP=2000 tests/kernel/flows-fleet.test
