# SPDX-License-Identifier: GPL-2.0-only
# make deb, make rpm: packages of daemon and simulator from programs that are
# built already. The same programs at the same time give the same bytes.
DEB_DEPS := debhelper dpkg-dev fakeroot
RPM_DEPS := rpm
DEB_VERSION ?= $(VERSION)
DEB_OUT     ?= $(B)/deb
RPM_OUT     ?= $(B)/rpm
# Debian's own variables, else whoever made the last commit; a tarball knows nobody.
DEB_MAINTAINER ?= $(or $(if $(DEBEMAIL),$(DEBFULLNAME) <$(DEBEMAIL)>),$(shell git log -1 --format='%an <%ae>' 2>/dev/null),\
	Squall <squall@noreply.invalid>)
# The time of the last commit; of a tarball, which carries it, the Makefile's.
RELEASE_TIME ?= $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile))

## deb: Debian packages of daemon and simulator, in build/deb
.PHONY: deb rpm
deb: all
	$(call install_missing,$(DEB_DEPS))
	$(Q)rm -rf $(DEB_OUT) && mkdir -p $(DEB_OUT)/squall && cp -r deploy/debian $(DEB_OUT)/squall/
	$(Q)printf 'squall (%s) unstable; urgency=medium\n\n  * Built from the tree; /usr/share/doc/squall/CHANGELOG.md has the changes.\n\n -- %s  %s\n' \
	  '$(DEB_VERSION)' '$(DEB_MAINTAINER)' "$$(LC_ALL=C date -u -R -d @$(RELEASE_TIME))" \
	  > $(DEB_OUT)/squall/debian/changelog
	$(Q)sed -i 's|@MAINTAINER@|$(DEB_MAINTAINER)|' $(DEB_OUT)/squall/debian/control
	$(call say,DEB,$(DEB_OUT))
	$(Q)cd $(DEB_OUT)/squall && unset MAKEFLAGS MFLAGS MAKELEVEL && \
	  SOURCE_DATE_EPOCH=$(RELEASE_TIME) SQUALL_TOP=$(CURDIR) SQUALL_B=$(abspath $(B)) DEB_BUILD_OPTIONS=noautodbgsym \
	  dpkg-buildpackage -b -us -uc -d >../log 2>&1 || { tail -30 ../log; exit 1; }
	$(Q)ls $(DEB_OUT)/*.deb

# Programs need the glibc they were linked with, or a newer one: for Amazon Linux, build there.
## rpm: RPM packages of the same, in build/rpm (rpmbuild; for another distribution build there)
rpm: all
	$(Q)command -v rpmbuild >/dev/null || { ! command -v apt-get >/dev/null || exit 0; \
	  echo "squall: rpmbuild is missing: dnf install rpm-build" >&2; exit 1; }
	$(if $(shell command -v rpmbuild),,$(call install_missing,$(RPM_DEPS)))
	$(call say,RPM,$(RPM_OUT))
	$(Q)rm -rf $(RPM_OUT) && mkdir -p $(RPM_OUT) && unset MAKEFLAGS MFLAGS MAKELEVEL && \
	  SOURCE_DATE_EPOCH=$(RELEASE_TIME) rpmbuild -bb --quiet --nodeps \
	  --define '_topdir $(abspath $(RPM_OUT))/tree' --define '_rpmdir $(abspath $(RPM_OUT))' \
	  --define '_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
	  --define 'squall_version $(VERSION)' --define 'squall_top $(CURDIR)' --define 'squall_b $(abspath $(B))' \
	  --define 'squall_day $(shell LC_ALL=C date -u -d @$(RELEASE_TIME) '+%a %b %d %Y')' \
	  --define 'squall_who $(DEB_MAINTAINER)' \
	  deploy/rpm/squall.spec >$(RPM_OUT)/log 2>&1 || { tail -30 $(RPM_OUT)/log; exit 1; }
	$(Q)rm -rf $(RPM_OUT)/tree && ls $(RPM_OUT)/*.rpm
