# SPDX-License-Identifier: GPL-2.0-only
.PHONY: bench-netem docs-fidelity
## bench-netem: squall beside netem in one guest; K=6.12 picks the kernel, ROWS=pattern the rows
ROWS ?= .*
bench-netem: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) test-bins
	$(Q)B=$(B) tests/bench/netem -k $(or $(K),6.12) -r '$(ROWS)'
	$(Q)tests/bench/netem-report $(B)/bench/netem-$(or $(K),6.12)

## docs-fidelity: docs/fidelity.md from the last bench-netem
docs-fidelity:
	$(Q)tests/bench/netem-doc
