# SPDX-License-Identifier: GPL-2.0-only
# Sourced after tests/lib.sh by tests/http/*.test: a squalld of our own in a
# network namespace of its own, and cgroups to point it at.
HOST=sqh-$run_id FAR=sqg-$run_id
SOCK=$TMP/squalld.sock PINS=/sys/fs/bpf/squall-test-$run_id
CGROUP=/squall-test-$run_id
[ -n "$CG2" ] || skip "cgroup v2 is not mounted"
# Not for what goes to the background: $! would be a subshell's, not the program's.
in_host() { nsenter --net=/run/netns/$HOST "$@"; }
api() { curl -sS -m 30 --unix-socket "$SOCK" "$@"; }
code() { curl -s -m 30 -o "$TMP/answer" -w '%{http_code}' --unix-socket "$SOCK" "$@"; }
tcp() { in_host curl -s -m 30 -o "$TMP/answer" -w '%{http_code}' "$@"; }

net_up() {
	for n in $HOST $FAR; do ip netns add $n; at_exit "ip netns del $n"; ip -n $n link set lo up; done
	ip -n $HOST link add h0 type veth peer name f0 netns $FAR
	ip -n $HOST addr add 10.99.0.1/24 dev h0; ip -n $HOST link set h0 up
	ip -n $FAR addr add 10.99.0.2/24 dev f0; ip -n $FAR link set f0 up
	# Whoever was killed a moment ago still keeps its cgroup.
	at_exit "echo 1 >$CG2$CGROUP/cgroup.kill; wait_for 10 grep -q 'populated 0' $CG2$CGROUP/cgroup.events; find $CG2$CGROUP -depth -type d -exec rmdir {} +"
	mkdir -p "$CG2$CGROUP/a" "$CG2$CGROUP/b/c"
}
# squalld_start [options]: SQUALLD_BIN picks another build
squalld_start() {
	nsenter --net=/run/netns/$HOST "${SQUALLD_BIN:-squalld}" --socket "$SOCK" --state-dir "$TMP/state" --pin-dir "$PINS" --docker-socket none "$@" \
		>>"$TMP/squalld.log" 2>&1 &
	SQUALLD=$!
	wait_for 30 curl -sf --unix-socket "$SOCK" http://s/api/v1/status || { tail -20 "$TMP/squalld.log"; not_ok "squalld started"; exit 1; }
}
squalld_stop() {
	kill "$SQUALLD" 2>/dev/null
	for _ in $(seq 300); do kill -0 "$SQUALLD" 2>/dev/null || break; sleep 0.05; done
	kill -9 "$SQUALLD" 2>/dev/null
	wait "$SQUALLD" 2>/dev/null
}
squalld_up() {
	net_up
	at_exit "squalld_stop; rm -rf $PINS"
	squalld_start "$@"
}
