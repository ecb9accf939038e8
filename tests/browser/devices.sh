# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the *.test of this folder whose script, of the same name, needs packets:
#
#   namespace "dev"                      namespace "host"
#   ping, in cgroup fleet/...  vb ---- va  squalld, Chromium on its loopback
[ "$(id -u)" = 0 ] || skip "needs root"
[ -n "$CG2" ] || skip "no cgroup v2"
host=sqwh$run_id dev=sqwd$run_id
fleet=fleet$run_id
pins=/sys/fs/bpf/squall-web-$run_id
for ns in "$host" "$dev"; do
	ip netns add "$ns" || exit 1
	at_exit "ip netns del $ns"
	ip -n "$ns" link set lo up
done
ip -n "$host" link add va type veth peer name vb netns "$dev"
ip -n "$host" addr add 10.77.0.1/24 dev va
ip -n "$dev" addr add 10.77.0.2/24 dev vb
ip -n "$host" link set va up
ip -n "$dev" link set vb up
mkdir "$CG2/$fleet" || exit 1
empty() { ! grep -q "populated 1" "$CG2/$fleet/cgroup.events"; }
at_exit "echo 1 >$CG2/$fleet/cgroup.kill; wait_for 10 empty; find $CG2/$fleet -depth -type d -exec rmdir {} \;"
for name in pump-07 pump-08 boiler-east boiler-west gateway press-line; do mkdir "$CG2/$fleet/$name"; done
at_exit "rm -rf $pins"
export host dev fleet pins TMP CG2 B SHOTS
nsenter --net=/run/netns/"$host" node "$TOP/tests/browser/$(basename "$0" .test).mjs" &
pid=$!
# node ends its own children; give it the signal that this script got.
at_exit "kill -TERM $pid; wait $pid"
wait "$pid"
