# SPDX-License-Identifier: GPL-2.0-only
# A lab of two network namespaces, sourced by tests/kernel/*.test after lib.sh:
#
#      $HOST (squalld, role "host")            $DEV (a container's namespace)
#   10.9.0.1/24 fd09::1/64  $VETH ======== eth0  10.9.0.2/24 fd09::2/64
#
# Cgroups /squall-test-$run_id/{a,b,c} below $CG2. A host-mode target is a
# process in `a` within $HOST; a bridge-mode target is one in `b` within $DEV.
# nsenter and not `ip netns exec`, which would hide /sys/fs/bpf and the cgroups.
[ "$(id -u)" = 0 ] || skip "needs root"
[ -n "$CG2" ] || skip "no cgroup v2 mounted"
HOST=sqh$run_id DEV=sqd$run_id VETH=ve$run_id
CG=/squall-test-$run_id
SOCK=$TMP/squalld.sock
PINS=/sys/fs/bpf/squall-test-$run_id
export SQUALL_SOCKET=$SOCK
VM=${SQUALL_VM:+1} # emulated: slower, and less exact

in_host() { nsenter --net=/run/netns/$HOST "$@"; }
in_dev() { nsenter --net=/run/netns/$DEV "$@"; }
# in_group GROUP NETNS CMD...: CMD's sockets belong to the cgroup
in_group() {
	local group=$1 ns=$2
	shift 2
	(echo "$BASHPID" >"$CG2$CG/$group/cgroup.procs" && exec nsenter --net=/run/netns/"$ns" "$@")
}
a() { in_group a "$HOST" "$@"; }
b() { in_group b "$DEV" "$@"; }

# netns NAME: made now; at the end whatever still runs in it is killed, since
# $! of a backgrounded function is a subshell's pid and not the command's.
netns() {
	ip netns add "$1"
	at_exit "ip netns pids $1 | xargs -r kill -9; ip netns del $1"
}

lab() {
	mount | grep -q '^bpf on /sys/fs/bpf' || mount -t bpf bpf /sys/fs/bpf
	mkdir -p "$CG2$CG"/a "$CG2$CG"/b "$CG2$CG"/c
	at_exit "sleep 0.2; rmdir $CG2$CG/a $CG2$CG/b $CG2$CG/c $CG2$CG"
	netns "$HOST"
	netns "$DEV"
	in_host ip link set lo up
	in_dev ip link set lo up
	in_host ip link add "$VETH" type veth peer name eth0 netns "$DEV"
	in_host sh -c "ip addr add 10.9.0.1/24 dev $VETH; ip addr add fd09::1/64 dev $VETH nodad; ip link set $VETH up"
	in_dev sh -c "ip addr add 10.9.0.2/24 dev eth0; ip addr add fd09::2/64 dev eth0 nodad; ip link set eth0 up"
	# Resolved neighbours: no test wants to time ARP.
	in_host ping -c1 -W1 -q 10.9.0.2 >/dev/null; in_host ping -c1 -W1 -q fd09::2 >/dev/null
}

# daemon [ARG...]: squalld in $HOST, ready when this returns. $DAEMON is its pid.
# LANE=tap or MISSING=macvlan in the environment: any test, with what another kernel chooses.
daemon() {
	mkdir -p "$TMP/state"
	nsenter --net=/run/netns/"$HOST" squalld --socket "$SOCK" --listen 127.0.0.1:4080 \
		--state-dir "$TMP/state" --pin-dir "$PINS" --docker-socket "$TMP/none" \
		${LANE:+--lane "$LANE"} ${MISSING:+--probe-missing "$MISSING"} "$@" >>"$TMP/squalld.log" 2>&1 &
	DAEMON=$!
	[ -n "${_daemon_undo:-}" ] || at_exit daemon_end
	_daemon_undo=1
	wait_for 60 squall status || { cat "$TMP/squalld.log"; not_ok "squalld starts"; exit 1; }
}
daemon_end() {
	kill "$DAEMON" 2>/dev/null; wait "$DAEMON" 2>/dev/null
	nsenter --net=/run/netns/"$HOST" squalld --cleanup --pin-dir "$PINS"
}
# set_a RULE..., set_b RULE...: must succeed
set_a() { squall fault set "cgroup:$CG/a" "$@" >"$TMP/out" 2>&1 || { cat "$TMP/out"; not_ok "fault set $*"; exit 1; }; }
set_b() { squall fault set "cgroup:$CG/b" "$@" >"$TMP/out" 2>&1 || { cat "$TMP/out"; not_ok "fault set $*"; exit 1; }; }
clear_all() { squall fault del all >/dev/null; }
# counter GROUP DIRECTION FIELD: of the first clause
counter() {
	squall -j stats "cgroup:$CG/$1" | jq -r --arg d "$2" ".counters[] | select(.direction == \$d) | .$3" | head -1
}

# udp FROM TO COUNT PPS SIZE: udpseq through the lab, JSON in $TMP/udp.json.
#   FROM a (host-mode target up), b (device target up), a_down (to a's socket), b_down (to b's),
#   or "other" (nobody's process in $HOST -> nobody's in $DEV)
udp() {
	local from=$1 count=$2 pps=$3 size=$4 addr port=$((20000 + RANDOM % 20000))
	shift 4
	local tx rx
	case $from in
	a) tx=a rx=in_dev addr=10.9.0.2 ;;
	a_down) tx=in_dev rx=a addr=10.9.0.1 ;;
	b) tx=b rx=in_host addr=10.9.0.1 ;;
	b_down) tx=in_host rx=b addr=10.9.0.2 ;;
	other) tx=in_host rx=in_dev addr=10.9.0.2 ;;
	esac
	[ "${FAMILY:-4}" = 6 ] && addr=fd09::${addr##*.}
	rm -f "$TMP/udp.out" # the receiver of before was ready, too
	$rx udpseq recv "$port" --bind "$addr" --idle 4 "$@" >"$TMP/udp.out" &
	local pid=$!
	wait_for 5 grep -q ready "$TMP/udp.out"
	$tx udpseq send "$addr" "$port" --count "$count" --pps "$pps" --size "$size" \
		--linger "${LINGER:-300}" >"$TMP/sent.json"
	wait $pid
	tail -1 "$TMP/udp.out" >"$TMP/udp.json"
}
got() { jq -r "$1" "$TMP/udp.json"; }

# in_ci HITS N PERCENT: is HITS of N within the 99.9 % interval of a binomial
# (normal approximation, z = 3.29, plus half a packet)?
in_ci() {
	awk -v k="$1" -v n="$2" -v p="$3" 'BEGIN { p /= 100; s = 3.29 * sqrt(n * p * (1 - p)) + 0.5
		d = k - n * p; if (d < 0) d = -d; exit !(d <= s) }'
}
