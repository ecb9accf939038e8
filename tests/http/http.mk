# SPDX-License-Identifier: GPL-2.0-only
# The OpenAPI file is inside squalld.
$(B)/user/squalld/api/ui.o: user/squalld/api/openapi.json

.PHONY: crash-campaign soak
CAMPAIGN_POINTS  ?= 300
CAMPAIGN_SECONDS ?= 900
SOAK_SECONDS     ?= 1800
## crash-campaign: squalld killed at CAMPAIGN_POINTS (300) random points in CAMPAIGN_SECONDS (900); SEED=N as before
crash-campaign: deps-test all
	$(Q)B=$(B) POINTS=$(CAMPAIGN_POINTS) SECONDS_MAX=$(CAMPAIGN_SECONDS) SEED=$(SEED) tests/http/campaign.test
## soak: 50 targets, traffic, 200 changes a second for SOAK_SECONDS (1800): nothing may grow
soak: deps-test all
	$(Q)B=$(B) SOAK_SECONDS=$(SOAK_SECONDS) tests/http/soak.test
