.PHONY: bench-bpf
## bench-bpf: cost of a packet, of an attached interface and of setting a rule, as ratios
bench-bpf: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)B=$(B) tests/bench/bpf.sh
