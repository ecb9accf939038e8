# SPDX-License-Identifier: GPL-2.0-only
## screenshots: take the pictures of docs/panel.md again, by the browser tests
.PHONY: screenshots
screenshots: deps-test all
	$(Q)B=$(B) SHOTS=$(CURDIR)/docs tests/run -t '^browser/(panel|load|tasks)$$' browser
