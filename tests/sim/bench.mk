# SPDX-License-Identifier: GPL-2.0-only
.PHONY: bench-sim bench-sim-docs
bench_sim = $(MAKE) --no-print-directory -j$$(nproc) test-bins && \
	B=$(B) python3 tests/bench/bench_sim.py $(BENCH_ARGS) --json $(B)/bench-sim.json

## bench-sim: squall-sim next to bare loops, libmosquitto and Locust (about 12 minutes; BENCH_ARGS="--rounds 2")
bench-sim: deps-test
	$(Q)$(bench_sim)

## bench-sim-docs: the same, and docs/bench-sim.md is written anew from it
bench-sim-docs: deps-test
	$(Q)$(bench_sim) --markdown docs/bench-sim.md

.PHONY: test-sim-fleet
## test-sim-fleet: 10,000 devices against mosquitto for a minute, no message lost
test-sim-fleet: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) FLEET_SECONDS=60 FLEET_INTERVAL=1 tests/sim/fleet.test

.PHONY: test-sim-50k
## test-sim-50k: 50,000 idle connections from one command, split over processes
test-sim-50k: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) IDLE_DEVICES=50000 IDLE_LIMIT=20000 tests/sim/idle.test

.PHONY: test-sim-chaos
## test-sim-chaos: 2,000 devices against mosquitto, then aedes, ten minutes of faults each (CHAOS_SEED repeats one)
test-sim-chaos: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) CHAOS_DEVICES=2000 CHAOS_SECONDS=600 tests/sim/chaos.test
	$(Q)B=$(B) CHAOS_DEVICES=2000 CHAOS_SECONDS=600 tests/sim/chaos-aedes.test

.PHONY: test-experiment-killed
## test-experiment-killed: an experiment killed at ten random moments and interrupted at ten, nothing left
test-experiment-killed: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)B=$(B) KILLS=10 tests/sim/experiment-killed.test

.PHONY: test-sim-million
## test-sim-million: 1,000,000 devices of one command to the sink, a message a minute each, for two minutes
test-sim-million: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) MILLION_DEVICES=1000000 MILLION_SECONDS=120 tests/sim/million.test

.PHONY: test-sim-tls
## test-sim-tls: TLS_DEVICES (100,000) with a certificate each, then a storm of resumptions: memory and CPU of one
test-sim-tls: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) TLS_DEVICES=$(or $(TLS_DEVICES),100000) tests/sim/tls.test

.PHONY: bench-sim-pair
## bench-sim-pair: this squall-sim and that of another build folder in turn, what is slower fails (OLD=FOLDER; 12 minutes)
bench-sim-pair: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) python3 tests/bench/bench_pair.py $(OLD) $(BENCH_ARGS)
