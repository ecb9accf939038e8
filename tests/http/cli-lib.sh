# SPDX-License-Identifier: GPL-2.0-only
# For tests of the command line: a squalld of their own, in a network
# namespace of its own, that sees one interface.
#
#   netns $ns                         netns $peer
#   squalld, the cgroup's processes
#   sc<id>a 10.98.0.1/24 ------------ sc<id>b 10.98.0.2/24
. "$(dirname "$0")/../lib.sh"
command -v jq >/dev/null || skip "jq is not installed"
[ "$(id -u)" = 0 ] || skip "not root"
[ -n "$CG2" ] || skip "no cgroup v2"

ns=sqcli$run_id peer=sqcli${run_id}p
cg=sqcli$run_id target=cgroup:/$cg
pin=/sys/fs/bpf/sqcli$run_id
sock=$TMP/squalld.sock
export SQUALL_SOCKET=$sock
unset SQUALL_URL SQUALL_TOKEN SQUALL_TOKEN_FILE SQUALL_CACERT
ns_exec() { nsenter --net=/run/netns/"$ns" "$@"; }
in_cg() {
	sh -c 'echo 0 >"$1/cgroup.procs"; shift; exec "$@"' sh "$CG2/$cg" \
		nsenter --net=/run/netns/"$ns" "$@"
}

# start_squalld OPTION...: sets $daemon
start_squalld() {
	# Not ns_exec: $! must be squalld itself.
	nsenter --net=/run/netns/"$ns" squalld --socket "$sock" --state-dir "$TMP/state" --pin-dir "$pin" \
		--iface "sc${run_id}a" --docker-socket none "$@" >>"$TMP/squalld.log" 2>&1 &
	daemon=$!
	at_exit "kill -9 $daemon; wait $daemon"
	if ! wait_for 40 squall status; then
		cat "$TMP/squalld.log"
		not_ok "squalld starts"
		exit 1
	fi
}

ip netns add "$ns" && ip netns add "$peer" || skip "network namespaces cannot be made"
at_exit "ip netns del $ns; ip netns del $peer"
mkdir "$CG2/$cg" "$CG2/$cg/inner"
at_exit "rmdir $CG2/$cg/inner $CG2/$cg"
at_exit "squalld --cleanup --pin-dir $pin"
ip link add "sc${run_id}a" netns "$ns" type veth peer name "sc${run_id}b" netns "$peer"
ip -n "$ns" addr add 10.98.0.1/24 dev "sc${run_id}a"
ip -n "$peer" addr add 10.98.0.2/24 dev "sc${run_id}b"
ip -n "$ns" link set "sc${run_id}a" up
ip -n "$peer" link set "sc${run_id}b" up
ip -n "$ns" link set lo up
