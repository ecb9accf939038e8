# SPDX-License-Identifier: GPL-2.0-only
# Sourced by every tests/AREA/*.test. Gives:
#   ok DESC / not_ok DESC      one result each, counted by tests/run
#   check DESC CMD...          ok if CMD succeeds
#   skip REASON                ends the test: this machine cannot run it
#   at_exit CMD                runs at the end, newest first, also on failure and Ctrl-C
#   run_id                     unique suffix for netns, cgroups, links of this test
#   CG2                        the cgroup v2 mount
#   bg PIDVAR CMD...           starts CMD in the background, killed (by pid) at exit
# A test that needs an idle machine for its figures calls `quiet` first.
set -u
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$TOP/$B ;; esac
export PATH=$B/bin:$B/tests/tools:$PATH:/usr/sbin:/sbin
run_id=$$
TMP=$(mktemp -d /tmp/squall-test.XXXXXX)
CG2=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
_undo=()
_bad=0
at_exit() { _undo+=("$*"); }
_cleanup() {
	local i
	trap '' INT TERM
	for ((i = ${#_undo[@]} - 1; i >= 0; i--)); do eval "${_undo[i]}" >/dev/null 2>&1; done
	rm -rf "$TMP"
}
trap '_s=$?; _cleanup; [ $_s -eq 0 ] && [ $_bad -ne 0 ] && _s=1; exit $_s' EXIT
trap 'exit 130' INT TERM
# jq 1.6 is content with an input that is empty: `... | jq -e` passed where nothing had answered.
jq() {
	local said
	case " $* " in
	*" -e "* | *" -ce "*) said=$(command jq "$@") || return; [ -n "$said" ] && printf '%s\n' "$said" ;;
	*) command jq "$@" ;;
	esac
}
ok() { echo "ok $*"; }
not_ok() { echo "not ok $*"; _bad=1; }
check() { local d=$1; shift; if "$@"; then ok "$d"; else not_ok "$d: failed: $*"; fi; }
skip() { echo "skip $*"; exit 77; }
bg() { local v=$1; shift; "$@" & eval "$v=$!"; at_exit "kill $! ; wait $!"; }
# within VALUE LOW HIGH (decimals welcome)
within() { awk -v v="$1" -v l="$2" -v h="$3" 'BEGIN { exit !(v+0 >= l+0 && v+0 <= h+0 && v != "") }'; }
# wait_for SECONDS CMD...: polls every 50 ms
wait_for() {
	local end=$(($(date +%s%N) + $1 * 1000000000)); shift
	until "$@" >/dev/null 2>&1; do
		[ "$(date +%s%N)" -gt $end ] && return 1
		sleep 0.05
	done
}
# The lock lives in a process of its own: an open descriptor would be inherited by
# whatever a test starts, and held for as long as one of those outlives it.
quiet() {
	flock -o /tmp/squall-quiet.lock \
		sh -c "echo >$TMP/quiet; while kill -0 $$ 2>/dev/null; do sleep 1; done" &
	at_exit "kill $!"
	until [ -e "$TMP/quiet" ]; do sleep 0.05; done
}
