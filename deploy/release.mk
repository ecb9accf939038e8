# SPDX-License-Identifier: GPL-2.0-only
# make release: all that is published, built anew without a path of this machine
# in it, so that whoever builds the tarball gets the same programs.
RELEASE_OUT ?= build/release
# A build that is there already, for tests; by default the release makes its own.
RELEASE_B   ?=
release_name := squall-$(VERSION)
# What git knows, as it lies here; a tarball has nothing else in it.
release_files = { git ls-files -z 2>/dev/null || find . -type f ! -path './build/*' ! -path '*/node_modules/*' \
	! -path '*/cdk.out/*' -printf '%P\0'; }

## release: tarball, Debian and RPM packages, bill of materials, checksums, in build/release
.PHONY: release
release:
	$(if $(RELEASE_B),,$(Q)$(MAKE) --no-print-directory B=build/release-build PREFIX_MAP=-ffile-prefix-map=$(CURDIR)=. all)
	$(Q)command -v python3 >/dev/null || { echo "squall: python3 is missing, for the bill of materials" >&2; exit 1; }
	$(Q)rm -rf $(RELEASE_OUT) && mkdir -p $(RELEASE_OUT)
	$(call say,TAR,$(RELEASE_OUT)/$(release_name).tar.gz)
	$(Q)$(release_files) | LC_ALL=C sort -z | tar --null --no-recursion -T - -c --mtime=@$(RELEASE_TIME) --owner=0 --group=0 \
	  --numeric-owner --mode=go-w,a+rX --format=ustar --transform='flags=r;s|^|$(release_name)/|' | \
	  gzip -9n > $(RELEASE_OUT)/$(release_name).tar.gz
	$(Q)$(MAKE) --no-print-directory B=$(or $(RELEASE_B),build/release-build) PREFIX_MAP=-ffile-prefix-map=$(CURDIR)=. \
	  DEB_OUT=$(abspath $(RELEASE_OUT))/deb RPM_OUT=$(abspath $(RELEASE_OUT))/rpm deb rpm >/dev/null
	$(Q)mv $(RELEASE_OUT)/deb/*.deb $(RELEASE_OUT)/rpm/*.rpm $(RELEASE_OUT)/ && rm -rf $(RELEASE_OUT)/deb $(RELEASE_OUT)/rpm
	$(Q)deploy/sbom $(or $(RELEASE_B),build/release-build) $(VERSION) $(RELEASE_TIME) $(RELEASE_OUT)/$(release_name).tar.gz \
	  > $(RELEASE_OUT)/$(release_name).spdx.json
	$(Q)cd $(RELEASE_OUT) && sha256sum *.* > SHA256SUMS && cat SHA256SUMS
