#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# make bench-bpf: each comparison side by side in one run, alternating.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../kernel/lab.sh"
quiet
echo "1. One packet (BPF_PROG_TEST_RUN), kernel $(uname -r)"
"$B/tests/bench/bpf"
echo
echo "   Flows: the rule with \`each flow\` and without, and the look-up alone"
"$B/tests/bench/flows"
echo
echo "2. iperf3 through an interface, nobody's packets: attached / not attached (pairs)"
lab
in_dev iperf3 -s -p 5301 >/dev/null & at_exit "kill $!"
sleep 0.5
gbit() { in_host iperf3 -c 10.9.0.2 -p 5301 -t 3 -J | jq '.end.sum_received.bits_per_second / 1e9'; }
for i in 1 2 3 4; do
	without=$(gbit)
	daemon
	set_b up loss 10% # a rule there is, on another target
	with=$(gbit)
	daemon_end
	awk -v i=$i -v a="$with" -v b="$without" 'BEGIN { printf "   %d  %.2f / %.2f Gbit/s = %.3f\n", i, a, b, a / b }' | tee -a "$TMP/ratios"
done
awk '{print $NF}' "$TMP/ratios" | sort -n | awk '{v[NR] = $1} END {printf "   median ratio %.3f (asked: >= 0.97)\n", (v[int((NR+1)/2)] + v[int(NR/2)+1]) / 2}'
echo
echo "3. Setting a rule: PUT by one connection, one after the other, against forking tc"
daemon
url="http://localhost/api/v1/rules/cgroup:$(echo "$CG/a" | sed 's|/|%2F|g')"
n=5000
for _ in $(seq $n); do
	printf 'url = "%s"\nrequest = PUT\ndata = "{\\"text\\":\\"up loss 1%%\\"}"\nheader = "Content-Type: application/json"\noutput = /dev/null\nwrite-out = "%%{http_code} %%{time_total}\\n"\nunix-socket = "%s"\nnext\n' "$url" "$SOCK"
done | sed '$d' >"$TMP/curlrc"
curl -s -K "$TMP/curlrc" >/dev/null
t0=$(date +%s%N)
curl -s -K "$TMP/curlrc" >"$TMP/times"
sets=$(awk -v t=$((($(date +%s%N) - t0) / 1000000)) -v n=$n 'BEGIN {printf "%.0f", n * 1000 / t}')
p99=$(awk '{print $2 * 1000}' "$TMP/times" | sort -n | awk '{v[NR]=$1} END {printf "%.2f", v[int(NR * 0.99)]}')
bad=$(grep -vc '^20' "$TMP/times")
t0=$(date +%s%N)
for _ in $(seq 200); do in_dev tc qdisc replace dev eth0 root pfifo limit 100; done
forks=$(awk -v t=$((($(date +%s%N) - t0) / 1000000)) 'BEGIN {printf "%.0f", 200 * 1000 / t}')
awk -v s="$sets" -v p="$p99" -v f="$forks" -v b="$bad" 'BEGIN { printf "   %d sets a second, 99th percentile %s ms, %d refused; tc %d a second; ratio %.0f\n", s, p, b, f, s / f }'
echo
echo "4. Rules with a table of flows: set, in ms (9 each); then 1,000 of them adopted by a squalld that starts"
ms() { # LINKS: to set a rule with so many, and the table's bytes a link
	local i t0 b
	for i in $(seq 9); do
		squall fault del "cgroup:$CG/a" >/dev/null 2>&1
		sleep 0.5 # the table before is freed
		curl -s -o /dev/null -w '%{time_total}\n' --unix-socket "$SOCK" -X PUT "$url" -d "{\"text\":\"up rate 8kbit each flow links $1\"}"
	done | sort -n | awk '{ v[NR] = $1 * 1000 } END { printf "%.1f to %.1f, median %.1f", v[1], v[NR], v[int((NR + 1) / 2)] }'
	b=$(bpftool -j map show name sq_flow_table | jq '[.. | .bytes_memlock? // empty] | max')
	awk -v b="$b" -v l="$1" 'BEGIN { printf "; %.2f bytes of kernel memory a link\n", b / l }'
}
echo "   1,000,000 links: $(ms 1000000) (asked: <= 100 ms, <= 180 bytes)"
echo "   65,536 links: $(ms 65536) (asked: <= 20 ms)"
for i in $(seq 1000); do
	mkdir "$CG2$CG/c/$i"
	echo "fault set cgroup:$CG/c/$i up rate 8kbit each flow links 1000"
done >"$TMP/many"
at_exit "rmdir $CG2$CG/c/*"
t0=$(date +%s%N)
squall batch "$TMP/many" >/dev/null
echo "   1,000 rules with a table: set in $((($(date +%s%N) - t0) / 1000000)) ms"
for how in kill restart restart restart; do
	kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
	[ $how = kill ] && { daemon; continue; }
	t0=$(date +%s%N)
	daemon
	t=$((($(date +%s%N) - t0) / 1000000))
	echo "   adopted: $t ms from its start until it answers, $(squall -j status | jq .rules) rules (asked: <= 1000 ms)"
done
