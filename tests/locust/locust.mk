# SPDX-License-Identifier: GPL-2.0-only
.PHONY: test-locust-scale
## test-locust-scale: 100,000 Locust users at 10,000 a second on one worker (two cores, a minute)
test-locust-scale: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) USERS=100000 RATE=10000 tests/locust/scale.test

.PHONY: demo-locust
## demo-locust: Locust's own web UI with two C workers and mosquitto, until Ctrl-C
demo-locust:
	$(call install_missing,$(BUILD_DEPS) $(DEMO_DEPS) curl $(shell cat tests/locust/deps))
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all
	$(Q)B=$(B) tests/demo-locust

.PHONY: bench-locust
## bench-locust: a squall-sim worker next to Locust with paho-python, same fleet (about 8 minutes)
bench-locust: deps-test
	$(Q)$(MAKE) --no-print-directory -j$$(nproc) all test-bins
	$(Q)B=$(B) python3 tests/bench/bench_locust.py --json $(B)/bench-locust.json
