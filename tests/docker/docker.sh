# SPDX-License-Identifier: GPL-2.0-only
# Sourced after tests/lib.sh by tests/docker/*.test: a Docker engine of our own.
#
#   netns $HOST ("the host")                        netns $FAR ("elsewhere")
#     dockerd, squalld, containers of mode host
#     h0 10.99.0.1 fd99::1 ------------------------ f0 10.99.0.2 fd99::2
#     docker0, br-...  -- veth | eth0 of containers    routes back over h0
#
# No NAT and no iptables: addresses are routed, so that both ends can start.
HOST=sqd-$run_id FAR=sqf-$run_id
SOCK=$TMP/squalld.sock
DSOCK=$TMP/docker.sock
PINS=/sys/fs/bpf/squall-test-$run_id
# Not for what goes to the background: $! would be a subshell's, not the program's.
in_host() { nsenter --net=/run/netns/$HOST "$@"; }
in_far() { nsenter --net=/run/netns/$FAR "$@"; }
docker() { command docker -H "unix://$DSOCK" "$@"; }
api() { curl -sS -m 20 --unix-socket "$SOCK" "$@"; }            # api [-X PUT -d ...] http://s/api/v1/...
code() { curl -s -m 20 -o "$TMP/answer" -w '%{http_code}' --unix-socket "$SOCK" "$@"; }

stop_pid() { # PID [SECONDS]
	kill "$1" 2>/dev/null
	for _ in $(seq $((${2:-10} * 20))); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done
	kill -9 "$1" 2>/dev/null
}

net_up() {
	for n in $HOST $FAR; do ip netns add $n; at_exit "ip netns del $n"; ip -n $n link set lo up; done
	ip -n $HOST link add h0 type veth peer name f0 netns $FAR
	ip -n $HOST addr add 10.99.0.1/24 dev h0; ip -n $HOST addr add fd99::1/64 dev h0 nodad; ip -n $HOST link set h0 up
	ip -n $FAR addr add 10.99.0.2/24 dev f0; ip -n $FAR addr add fd99::2/64 dev f0 nodad; ip -n $FAR link set f0 up
	ip -n $FAR route add default via 10.99.0.1; ip -n $FAR -6 route add default via fd99::1
	in_host sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
}

dockerd_start() {
	nsenter --net=/run/netns/$HOST dockerd --data-root "$TMP/data" --exec-root "$TMP/exec" -p "$TMP/dockerd.pid" -H "unix://$DSOCK" \
		--iptables=false --ip-masq=false --cgroup-parent "/squall-test-$run_id" --bip 10.98.0.1/24 \
		--default-address-pool base=10.97.0.0/16,size=24 "$@" >>"$TMP/dockerd.log" 2>&1 &
	DOCKERD=$!
	wait_for 40 docker version || { tail -20 "$TMP/dockerd.log"; not_ok "dockerd started"; exit 1; }
}
dockerd_stop() { stop_pid "$DOCKERD" 30; wait "$DOCKERD" 2>/dev/null; }

dockerd_up() {
	command -v dockerd >/dev/null || skip "no dockerd: apt-get install docker.io"
	at_exit 'find "'$CG2/squall-test-$run_id'" -depth -type d -exec rmdir {} + ; for c in /sys/fs/cgroup/*/squall-test-'$run_id'; do find "$c" -depth -type d -exec rmdir {} + ; done'
	at_exit 'umount -R -l "$TMP/data" "$TMP/exec"; grep -o "$TMP/[^ ]*" /proc/mounts | sort -r | xargs -r umount -l'
	dockerd_start "$@"
	at_exit 'docker ps -aq | xargs -r docker -H "unix://$DSOCK" rm -f; dockerd_stop'
	mkdir -p "$TMP/img/bin" "$TMP/bare"
	cc -static -O2 -pthread -o "$TMP/img/netprobe" "$TOP/tests/docker/netprobe.c" || { not_ok "netprobe built"; exit 1; }
	cp "$TMP/img/netprobe" "$TMP/bare/"
	cp /bin/busybox "$TMP/img/bin/busybox"
	for a in sh sleep ping nc cat ip; do ln -s busybox "$TMP/img/bin/$a"; done
	tar -C "$TMP/img" -c . | docker import - img >/dev/null
	tar -C "$TMP/bare" -c . | docker import - bare >/dev/null # distroless: no shell, nothing
}

squalld_start() {
	nsenter --net=/run/netns/$HOST squalld --socket "$SOCK" --listen "${LISTEN:-127.0.0.1:4080}" --state-dir "$TMP/state" --pin-dir "$PINS" \
		--docker-socket "$DSOCK" "$@" >>"$TMP/squalld.log" 2>&1 &
	SQUALLD=$!
	wait_for 15 curl -sf --unix-socket "$SOCK" http://s/api/v1/status || { tail -20 "$TMP/squalld.log"; not_ok "squalld started"; exit 1; }
}
squalld_stop() { stop_pid "$SQUALLD"; wait "$SQUALLD" 2>/dev/null; }
squalld_up() {
	at_exit 'squalld_stop; rm -rf '$PINS
	squalld_start "$@"
	wait_for 20 connected || { tail -20 "$TMP/squalld.log"; not_ok "squalld found the engine"; exit 1; }
}
connected() { api http://s/api/v1/status | grep -q '"connected":true'; }
# view NAME: how squalld sees it
view() { api "http://s/api/v1/targets/$1" | jq -r .view.mode; }
running() { [ "$(api "http://s/api/v1/targets/$1" | jq -r .running)" = true ]; }
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }
address6() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.GlobalIPv6Address}}{{end}}' "$1"; }

# run_agent NAME [docker run options] : a container whose process 1 is a probe
run_agent() {
	local name=$1; shift
	mkdir -p "$TMP/ctl/$name"
	docker run -d --name "$name" -v "$TMP/ctl/$name:/ctl" "$@" bare /netprobe agent /ctl/s "${PORT:-7002}" >/dev/null
}
probe() { local at=$1; shift; "$TMP/img/netprobe" "$TMP/ctl/$at/s" "$@"; }
far_up() { mkdir -p "$TMP/ctl/far"; bg FARPID nsenter --net=/run/netns/$FAR "$TMP/img/netprobe" agent "$TMP/ctl/far/s" 7001; wait_for 10 test -S "$TMP/ctl/far/s"; }

# both_ways CONTAINER ADDR FAR_ADDR N PPS SIZE [EXPECT_UP EXPECT_DOWN]: datagrams
# in both directions at once; sets UP and DOWN to what arrived at the other end.
# Waits for as many as are expected, and then for silence.
both_ways() {
	local c=$1 addr=$2 far=$3 n=$4 pps=$5 size=$6 up=${7:-$4} down=${8:-$4} s t
	probe far clear >/dev/null; probe "$c" clear >/dev/null
	probe "$c" send "$far" 7001 "$n" "$pps" "$size" >/dev/null & s=$!
	probe far send "$addr" "${PORT:-7002}" "$n" "$pps" "$size" >/dev/null & t=$!
	wait $s $t
	# Where nothing is expected there is nothing to wait for but the time a packet could take.
	[ "$up" -gt 0 ] && UP=$(probe far await "$up" 10000)
	[ "$down" -gt 0 ] && DOWN=$(probe "$c" await "$down" 10000)
	[ "$up" -eq 0 ] && { sleep 0.3; UP=$(probe far stat); }
	[ "$down" -eq 0 ] && { sleep 0.3; DOWN=$(probe "$c" stat); }
}
field() { sed -n "s/.*$1=\([-0-9.]*\).*/\1/p" <<<"$2"; }
