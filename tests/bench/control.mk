# SPDX-License-Identifier: GPL-2.0-only
.PHONY: bench-control docs-performance
## bench-control: what squalld's own work costs, each bound as asked and as measured (8 minutes; S="batch fork" picks sections)
bench-control: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) tests/bench/control $(S)

## docs-performance: docs/performance.md from the last bench-control, docs/fidelity.md and docs/bench-sim.md
docs-performance:
	$(Q)B=$(B) tests/bench/performance-doc docs/performance.md
