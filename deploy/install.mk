# SPDX-License-Identifier: GPL-2.0-only
# make install DESTDIR= PREFIX=/usr/local: programs, manual pages, completion,
# systemd unit and an example configuration. Packages and images use its parts.
STRIP      ?= :
sbindir    := $(PREFIX)/sbin
bindir     := $(PREFIX)/bin
libexecdir := $(PREFIX)/lib/squall
sharedir   := $(PREFIX)/share/squall
mandir     := $(PREFIX)/share/man
unitdir    ?= $(PREFIX)/lib/systemd/system
# /etc belongs to the machine, not to the prefix, unless the prefix is a folder of one's own.
sysconfdir ?= $(if $(filter /usr /usr/local,$(PREFIX)),/etc,$(PREFIX)/etc)
# Where each shell looks, by its own rule: bash by the command's name, zsh by "_" and that, fish by ".fish".
bashdir    := $(PREFIX)/share/bash-completion/completions
zshdir     ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
fishdir    := $(PREFIX)/share/fish/vendor_completions.d

# Each program prints its manual page from the table its parser uses. A program
# of another architecture cannot be asked here: then the short page is installed.
man_of = { $(B)/bin/$(1) $(2) 2>/dev/null | grep -q '^\.TH' && $(B)/bin/$(1) $(2); } \
	|| cat deploy/man/$(1).$(3)
one_completion = $(B)/bin/$(1) $(2) $(3) > $(DESTDIR)$(4) 2>/dev/null || rm $(DESTDIR)$(4)
completions_of = install -d $(DESTDIR)$(bashdir) $(DESTDIR)$(zshdir) $(DESTDIR)$(fishdir); \
	$(call one_completion,$(1),$(2),bash,$(bashdir)/$(1)); \
	$(call one_completion,$(1),$(2),zsh,$(zshdir)/_$(1)); \
	$(call one_completion,$(1),$(2),fish,$(fishdir)/$(1).fish)

docdir     ?= $(PREFIX)/share/doc/squall

## install: programs, manual pages, unit, docs and examples; DESTDIR= PREFIX=/usr/local
.PHONY: install install-daemon install-sim install-unit install-docs uninstall
# The group whose members may ask squalld belongs to a machine, not to a DESTDIR.
install: install-daemon install-sim install-unit install-docs
	$(Q)if [ -z "$(DESTDIR)" ]; then \
	  getent group squall >/dev/null || groupadd -r squall || exit 1; \
	  echo "Next: systemctl enable --now squalld; usermod -aG squall USER for each who may set faults; squall status"; fi

## install-daemon, install-sim, install-unit, install-docs: the parts of install
install-daemon: $(B)/bin/squalld $(B)/bin/squall
	$(call say,INSTALL,$(DESTDIR)$(sbindir)/squalld)
	$(Q)install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(bindir) $(DESTDIR)$(libexecdir) \
	  $(DESTDIR)$(mandir)/man8
	$(Q)install -m 0755 $(B)/bin/squalld $(DESTDIR)$(sbindir)/squalld
	$(Q)install -m 0755 $(B)/bin/squall $(DESTDIR)$(bindir)/squall
	$(Q)$(STRIP) $(DESTDIR)$(sbindir)/squalld $(DESTDIR)$(bindir)/squall
	$(Q)install -m 0755 deploy/docker/squalld-entry deploy/docker/squalld-health \
	  deploy/docker/squalld-report $(DESTDIR)$(libexecdir)
	$(Q)($(call man_of,squalld,--help --man,8)) > $(DESTDIR)$(mandir)/man8/squalld.8
	$(Q)($(call man_of,squall,help --man,8)) > $(DESTDIR)$(mandir)/man8/squall.8
	$(Q)$(call completions_of,squall,completion)
	$(Q)$(call completions_of,squalld,--completion)

install-sim: $(B)/bin/squall-sim
	$(call say,INSTALL,$(DESTDIR)$(bindir)/squall-sim)
	$(Q)install -d $(DESTDIR)$(bindir) $(DESTDIR)$(libexecdir) $(DESTDIR)$(sharedir) \
	  $(DESTDIR)$(mandir)/man1
	$(Q)install -m 0755 $(B)/bin/squall-sim $(DESTDIR)$(bindir)/squall-sim
	$(Q)$(STRIP) $(DESTDIR)$(bindir)/squall-sim
	$(Q)install -m 0755 deploy/docker/squall-sim-entry deploy/docker/squall-sim-health \
	  $(DESTDIR)$(libexecdir)
	$(Q)install -m 0644 deploy/docker/locust_master.py $(DESTDIR)$(sharedir)
	$(Q)($(call man_of,squall-sim,help --man,1)) > $(DESTDIR)$(mandir)/man1/squall-sim.1
	$(Q)$(call completions_of,squall-sim,completion)

# The unit names /usr/sbin and /etc; here it gets this prefix's.
install-unit:
	$(Q)install -d $(DESTDIR)$(unitdir) $(DESTDIR)$(sysconfdir)/squall
	$(Q)sed 's|/usr/sbin/|$(sbindir)/|; s|/etc/squall|$(sysconfdir)/squall|' \
	  deploy/systemd/squalld.service > $(DESTDIR)$(unitdir)/squalld.service
	$(Q)[ -e $(DESTDIR)$(sysconfdir)/squall/squalld.conf ] || \
	  install -m 0644 deploy/systemd/squalld.conf $(DESTDIR)$(sysconfdir)/squall/squalld.conf

# As in the tree, so that the pages' links to each other hold.
install-docs:
	$(Q)install -d $(DESTDIR)$(docdir)
	$(Q)for f in README.md SECURITY.md CHANGELOG.md $$(find docs examples -type f ! -name '*.8'); do \
	  m=0644; [ ! -x $$f ] || m=0755; install -D -m $$m $$f $(DESTDIR)$(docdir)/$$f || exit 1; done

# Configuration and state stay: they are the user's.
## uninstall: removes what install put; configuration and rules stay
uninstall:
	$(Q)rm -f $(DESTDIR)$(sbindir)/squalld $(DESTDIR)$(bindir)/squall $(DESTDIR)$(bindir)/squall-sim \
	  $(DESTDIR)$(mandir)/man8/squalld.8 $(DESTDIR)$(mandir)/man8/squall.8 \
	  $(DESTDIR)$(mandir)/man1/squall-sim.1 $(DESTDIR)$(unitdir)/squalld.service
	$(Q)cd $(DESTDIR)$(PREFIX)/share && for p in squall squalld squall-sim; do \
	  rm -f bash-completion/completions/$$p zsh/*/_$$p fish/vendor_completions.d/$$p.fish; done
	$(Q)rm -rf $(DESTDIR)$(libexecdir) $(DESTDIR)$(sharedir) $(DESTDIR)$(docdir)
