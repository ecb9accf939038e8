# SPDX-License-Identifier: GPL-2.0-only
# Sourced by chaos.test and chaos-aedes.test, which say against which broker: $broker_kind.
# Devices of QoS 0, 1 and 2, persistent and clean, over TCP and TLS, while squalld cuts, loses,
# delays and narrows, the broker stalls, is killed and comes back, and connections are reset.
# Then all is well again, and must be. Thirty seconds of each and 240 devices in CI;
# `make test-sim-chaos`: ten minutes and 2,000. CHAOS_SEED repeats the order.
#
#   $HOST: squalld, squall-sim in cgroup a   ---veth---   $DEV: the broker
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
. "$TOP/tests/sim/lib.sh"
. "$TOP/tests/kernel/lab.sh"
devices=${CHAOS_DEVICES:-240} secs=${CHAOS_SECONDS:-30} seed=${CHAOS_SEED:-$RANDOM}
[ "$broker_kind" = mosquitto ] || . "$TOP/tests/sim/aedes/prepare.sh"
echo "# $broker_kind: CHAOS_SEED=$seed CHAOS_DEVICES=$devices CHAOS_SECONDS=$secs"
RANDOM=$seed
# A thousand TLS handshakes at once are seconds of one broker's CPU, and ten times that where others
# want it too: who gives up sooner never gets in, and what was done for him is done in vain.
patience=$((3 + devices / 60))
# Nor does it answer a ping meanwhile.
keepalive=$((3 + devices / 200))
# 2,000 messages a second are more than node has room for besides a thousand handshakes.
interval=1
[ "$broker_kind" = mosquitto ] || interval=$((1 + devices / 500))
lab
daemon --listen none
certs 1
cat >"$TMP/mosquitto.conf" <<END
user root
allow_anonymous true
log_dest file $TMP/mosquitto.log
connection_messages false
max_inflight_messages 0
max_queued_messages 0
persistence true
persistence_location $TMP/
listener 1883 10.9.0.2
listener 8883 10.9.0.2
cafile $CERTS/ca.pem
certfile $CERTS/server.pem
keyfile $CERTS/server.key
END
broker_up() {
	if [ "$broker_kind" = mosquitto ]; then
		nsenter --net=/run/netns/"$DEV" mosquitto -c "$TMP/mosquitto.conf" 2>>"$TMP/mosquitto.err" & broker=$!
	else
		nsenter --net=/run/netns/"$DEV" node "$TOP/tests/sim/aedes/broker.js" 10.9.0.2 1883 8883 \
			"$CERTS/server.pem" "$CERTS/server.key" >/dev/null 2>>"$TMP/mosquitto.log" & broker=$!
	fi
	wait_for $((30 + devices / 20)) in_dev mosquitto_pub -h 10.9.0.2 -t up -n
}
at_exit 'kill -CONT "$broker" 2>/dev/null; kill -9 "$broker" 2>/dev/null; wait "$broker" 2>/dev/null'
broker_up || { cat "$TMP/mosquitto.err"; exit 1; }

{
	echo "devices: $devices"
	printf 'ramp: 400/s\ninterval: %ss\njitter: 20%%\nkeepalive: %s\nack-timeout: 4s\nconnect-timeout: %ss\n' $interval $keepalive $patience
	printf 'backoff: 200ms..2s\nbackoff-reset: 1s\npayload: 200\ninflight: 8\ntypes:\n'
	for q in 0 1 2; do
		for s in clean persistent; do
			for net in tcp tls; do
				printf '  - { name: q%s-%s-%s, qos: %s, topic: "c/{thing}", subscribe: "cmd/{thing}", ' $q $s $net $q
				[ $s = persistent ] && printf 'persistent: true, '
				[ $net$s$broker_kind = tlspersistentmosquitto ] && printf 'protocol: "5", '
				[ $net = tcp ] && printf 'broker: "mqtt://10.9.0.2" }\n' ||
					printf 'broker: "mqtts://10.9.0.2", ca: "%s", sni: localhost }\n' "$CERTS/ca.pem"
			done
		done
	done
} >"$TMP/fleet.yaml"
(echo "$BASHPID" >"$CG2$CG/a/cgroup.procs" && exec nsenter --net=/run/netns/"$HOST" squall-sim run -j --fleet "$TMP/fleet.yaml" \
	--seed $((seed + 1)) --duration $((secs + devices / 5 + 180))s --drain 10s >"$TMP/sim.out" 2>"$TMP/sim.err") & sim=$!
at_exit "kill $sim"
line() { tail -1 "$TMP/sim.out"; }
connected() { [ "$(line | jq .devices.connected)" = "$devices" ]; }
rss() { awk '/VmRSS/ {print $2}' "/proc/$sim/status"; }
# 1,000 TLS handshakes on a busy machine take their time.
check "all connected while healthy" wait_for $((30 + devices / 10)) connected
sleep 1
before=$(rss) rss_max=0 n=0
until=$(($(date +%s) + secs))
while [ "$(date +%s)" -lt $until ]; do
	kind=$((RANDOM % 10)) pause=$((RANDOM % 3 + 1)); n=$((n + 1))
	case $kind in
	0) what="loss 30%"; set_a up loss 30% down loss 30% ;;
	1) what=blackhole; set_a up blackhole down blackhole ;;
	2) what="delay and reordering"; set_a up delay 100ms 80ms down delay 50ms reorder 20% ;;
	3) what="a narrow link"; set_a up rate 500kbit down rate 500kbit ;;
	4) what="connections reset"; kill -USR1 $sim ;;
	5) what="broker stalled"; kill -STOP $broker ;;
	6) what="broker killed"; kill -9 $broker; wait $broker ;;
	7) what="broker ended"; kill -TERM $broker; wait $broker ;;
	8) what="connections that hang"; set_a hang old ;;
	9) what="both ends reset"; set_a reset after 1s ;;
	esac 2>/dev/null
	echo "# $what, $pause s"
	sleep $pause
	case $kind in
	[0-389]) clear_all ;;
	5) kill -CONT $broker ;;
	6 | 7) broker_up || not_ok "the broker comes back" ;;
	esac
	sleep 0.$((RANDOM % 10))
done
t0=$(date +%s%N)
# A back-off of at most 2 s, a connect of at most $patience s before it; the rest is the machine's.
check "every device is connected again" wait_for $((20 + devices / 40)) connected
echo "# after $((($(date +%s%N) - t0) / 1000000)) ms: $(line | jq -c .devices), $n faults"
connected || line | jq -c '.devices, .failures'
# None is stuck: each publishes again. And the memory is what it was, but for what TLS keeps.
in_dev timeout $((15 + devices / 50)) mosquitto_sub -h 10.9.0.2 -t 'c/+' -F %t >"$TMP/seen" & sub=$!
check "every device publishes again" wait_for $((12 + devices / 50)) eval '[ $(sort -u "$TMP/seen" | wc -l) = $devices ]'
kill $sub 2>/dev/null; wait $sub
after=$(rss)
check "the memory is flat: $before KiB, then $after" [ "$after" -le $((before * 13 / 10 + 16384)) ]
kill $sim; wait $sim; rc=$?
check "the run ends: exit $rc $(cat "$TMP/sim.err")" [ $rc = 0 ]
check "the sum holds to the message: $(line | jq -r '.totals | "\(.scheduled) = \(.acked) + \(.failed), \(.reconnects) reconnects"')" \
	jqe '.totals | .scheduled > 0 and .scheduled == .acked + .failed and .in_flight == 0 and .unaccounted == 0' <(line)
check "the failures are those of such a net: $(kinds)" \
	jqe '[.errors[].kind] - ["refused", "reset", "connect-timeout", "no-connack", "no-suback", "closed", "keepalive", "no-puback",
		"no-pubcomp", "not-connected", "unsent", "backlog", "connection-lost", "session-lost", "stopped", "tls", "unreachable", "socket", "silent"] == []' <(line)
bad=$(grep -i 'protocol error\|malformed\|bad packet\|invalid' "$TMP/mosquitto.log" | head -3)
check "$broker_kind logged no protocol error $bad" [ -z "$bad" ]
