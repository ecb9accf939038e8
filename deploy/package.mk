# SPDX-License-Identifier: GPL-2.0-only
# make deb: build/deb/squall_VERSION_ARCH.deb and squall-sim's, by debhelper.
DEB_DEPS := debhelper dpkg-dev fakeroot
DEB_VERSION ?= $(VERSION)
DEB_OUT     ?= $(B)/deb
# Debian's own variables, else whoever made the last commit.
DEB_MAINTAINER ?= $(if $(DEBEMAIL),$(DEBFULLNAME) <$(DEBEMAIL)>,$(shell git log -1 --format='%an <%ae>' 2>/dev/null))

## deb: Debian packages of daemon and simulator, in build/deb
.PHONY: deb
deb: all
	$(call install_missing,$(DEB_DEPS))
	$(Q)rm -rf $(DEB_OUT) && mkdir -p $(DEB_OUT)/squall && cp -r deploy/debian $(DEB_OUT)/squall/
	$(Q)printf 'squall (%s) unstable; urgency=medium\n\n  * Built from the tree; its history has the changes.\n\n -- %s  %s\n' \
	  '$(DEB_VERSION)' '$(DEB_MAINTAINER)' "$$(date -R -d @$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || date +%s)})" \
	  > $(DEB_OUT)/squall/debian/changelog
	$(Q)sed -i 's|@MAINTAINER@|$(DEB_MAINTAINER)|' $(DEB_OUT)/squall/debian/control
	$(call say,DEB,$(DEB_OUT))
	$(Q)cd $(DEB_OUT)/squall && unset MAKEFLAGS MFLAGS MAKELEVEL && \
	  SQUALL_TOP=$(CURDIR) SQUALL_B=$(abspath $(B)) DEB_BUILD_OPTIONS=noautodbgsym \
	  dpkg-buildpackage -b -us -uc -d >../log 2>&1 || { tail -30 ../log; exit 1; }
	$(Q)ls $(DEB_OUT)/*.deb
