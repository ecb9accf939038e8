# SPDX-License-Identifier: GPL-2.0-only
# No part of `make test`: it downloads a Debian and all packages that the README names.
.PHONY: test-bare
## test-bare: the README to the letter on a bare Debian 12, up to a container's first faulted packet (about 4 minutes)
test-bare: deps-test
	$(Q)B=$(B) tests/docs/bare

.PHONY: docs-reference
## docs-reference: docs/reference.md and docs/squall.8 anew, from the programs' own tables
docs-reference: all
	$(Q)B=$(B) tests/docs/reference > $(B)/reference.md && mv $(B)/reference.md docs/reference.md
	$(Q)$(B)/bin/squall help --man > $(B)/squall.8 && mv $(B)/squall.8 docs/squall.8
