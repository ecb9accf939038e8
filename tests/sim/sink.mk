# SPDX-License-Identifier: GPL-2.0-only
# tests/sim/broker/*.c: build/tests/sim/sink, the broker that tests and benches count with.
# Storms of TLS free what a hundred thousand hold: glibc looks through the pieces for minutes.
# One program to the compiler: benches have it for a peer, so its files may not cost it time.
$(B)/tests/sim/sink: CFLAGS += -flto
$(B)/tests/sim/sink: $(patsubst %.c,$(B)/%.o,$(wildcard tests/sim/broker/*.c))
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(SANFLAGS) -o $@ $^ -lssl -lcrypto -Wl,--no-as-needed $(HEAP_sim)
test-bins: $(B)/tests/sim/sink
