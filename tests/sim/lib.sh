# SPDX-License-Identifier: GPL-2.0-only
# Sourced by tests/sim/*.test after tests/lib.sh. Gives:
#   start_sink ARGS...    the counting broker; SINK_PORT, sink_pid
#   sink_now FIELD        a counter of it, at this moment
#   sink_end              stops it; its last totals are in $TMP/sink.json
#   start_mosquitto       a real broker; MOSQ_PORT (plain), MOSQ_TLS (client certificate needed)
#   certs N               $CERTS/ca.pem, server.*, thing-1.* ... thing-N.*
#   sim ARGS...           squall-sim run -j, output in $TMP/sim.out, errors in $TMP/sim.err
#   total FIELD           of the last run's summary
#   latency NAME FIELD   of the last run, e.g. latency puback p99_ms
#   jqe FILTER FILE       true when the filter is
#   kinds                 "kind=count ..." of the last run's failures
CERTS=$TMP/certs
export PATH=$B/tests/sim:$B/tests/bench:$PATH

free_port() {
	local p
	while :; do
		p=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
		[ -z "$(ss -Hltn "sport = :$p")" ] && break
	done
	echo "$p"
}

certs() {
	mkdir -p "$CERTS" && mkcerts "$CERTS" "$1" thing-%d
}

start_sink() {
	bg sink_pid sink "$@" >"$TMP/sink.out" 2>"$TMP/sink.err"
	wait_for 10 grep -q listening "$TMP/sink.out" || { cat "$TMP/sink.err"; return 1; }
	SINK_PORT=$(jq -r .listening "$TMP/sink.out")
}

sink_now() {
	local n
	n=$(wc -l <"$TMP/sink.out")
	kill -USR1 "$sink_pid"
	wait_for 5 test_more_lines "$n" || return 1
	tail -1 "$TMP/sink.out" | jq -r ".$1"
}
test_more_lines() { [ "$(wc -l <"$TMP/sink.out")" -gt "$1" ]; }

# True when FIELD of the sink is at least N.
sink_has() { [ "$(sink_now "$1")" -ge "$2" ]; }

sink_end() {
	kill -TERM "$sink_pid"
	wait "$sink_pid"
	tail -1 "$TMP/sink.out" >"$TMP/sink.json"
}

start_mosquitto() {
	MOSQ_PORT=$(free_port)
	MOSQ_TLS=$(free_port)
	[ -d "$CERTS" ] || certs 5
	cat >"$TMP/mosquitto.conf" <<-END
		user root
		persistence false
		log_dest file $TMP/mosquitto.log
		connection_messages false
		per_listener_settings false
		allow_anonymous true
		max_queued_messages 0
		max_inflight_messages 0
		set_tcp_nodelay true
		listener $MOSQ_PORT 127.0.0.1
		listener $MOSQ_TLS 127.0.0.1
		cafile $CERTS/ca.pem
		certfile $CERTS/server.pem
		keyfile $CERTS/server.key
		require_certificate true
		$*
	END
	bg mosq_pid mosquitto -c "$TMP/mosquitto.conf" 2>"$TMP/mosquitto.err"
	wait_for 10 mosquitto_pub -p "$MOSQ_PORT" -t up -n || { cat "$TMP/mosquitto".*; return 1; }
}

tls_args() { echo "--ca $CERTS/ca.pem --cert $CERTS/{thing}.pem --key $CERTS/{thing}.key"; }

sim() {
	squall-sim run -j --thing 'thing-{index}' --first 1 "$@" >"$TMP/sim.out" 2>"$TMP/sim.err"
	sim_rc=$?
	return $sim_rc
}
total() { tail -1 "$TMP/sim.out" | jq -r ".totals.$1"; }
kinds() {
	tail -1 "$TMP/sim.out" | jq -r '[.errors | group_by(.kind)[] |
		"\(.[0].kind)=\(map(.count) | add)"] | join(" ")'
}
# latency NAME FIELD, e.g. puback p99_ms
latency() { tail -1 "$TMP/sim.out" | jq -r ".rows[] | select(.name == \"$1\") | .$2"; }
# The sum that must always hold at the end of a run.
conserved() {
	tail -1 "$TMP/sim.out" | jq -e \
		'.totals | .scheduled > 0 and .scheduled == .acked + .failed + .in_flight' >/dev/null
}
cpu_ms() { # PID: CPU time of it and its children so far
	local p t=0
	for p in $1 $(cat /proc/"$1"/task/*/children 2>/dev/null); do
		t=$((t + $(awk '{s += $14 + $15} END {print s + 0}' /proc/"$p"/stat 2>/dev/null || echo 0)))
	done
	echo $((t * 10))
}
# jq -e that only speaks through its exit code: check jqe FILTER FILE
jqe() { jq -e "$@" >/dev/null; }
