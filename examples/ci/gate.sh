#!/bin/sh
# The gate of the two CI examples: the same fleet healthy and on a bad network.
# Root, on a machine or in a container that may load BPF; the programs are in PATH.
#   BROKER=mqtt://192.0.2.10 examples/ci/gate.sh
# The exit code is 0, or that of the first step that failed: 99 when a condition
# of --fail-if held, 1 when no device ever connected.
set -eu
: "${BROKER:?the broker that is tested, as mqtt://HOST[:PORT]; not on loopback}"
set -- squall-sim run --broker "$BROKER" --devices "${DEVICES:-50}" --ramp 50/s --qos 1 \
	--interval 1s --duration "${TIME:-30s}" --quiet

# Healthy: what the service promises.
"$@" --csv healthy --fail-if 'p95>500ms' --fail-if 'errors>0.1%'

# The same devices on a bad network, and what it promises them there: later, but all of it.
squalld --docker-socket none --listen none &
daemon=$!
trap 'kill $daemon; wait $daemon || true' EXIT
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
	squall status >/dev/null 2>&1 && break
	sleep 1
done
squall run both delay 100ms 20ms loss 2% -- \
	"$@" --csv faulty --fail-if 'p95>3s' --fail-if 'errors>1%' --fail-if 'never-connected>0'
