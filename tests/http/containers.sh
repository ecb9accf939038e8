# SPDX-License-Identifier: GPL-2.0-only
# Sourced after http.sh: containers of a stand-in engine (engine.py), each a
# cgroup of its own and, where one is wanted, a process in it.
BOX=$TMP/box DOCK=$TMP/docker.sock
mkdir "$BOX"
declare -A PID
# hex64 NAME: the id that a container of this name has
hex64() { printf '%s' "$1" | sha256sum | cut -c1-64; }
engine_up() { bg ENGINE python3 "$TOP/tests/http/engine.py" "$DOCK" "@$BOX"; wait_for 20 test -S "$DOCK"; }
# ecs_box NAME TASK CONTAINER FAMILY [CGROUP]: as the ECS agent makes one; its endpoint's id is id-TASK
ecs_box() {
	box "$1" "$(jq -nc --arg t "$2" --arg c "$3" --arg f "$4" '"com.amazonaws.ecs." as $e
		| {labels: {($e + "cluster"): "demo", ($e + "task-arn"): "arn:aws:ecs:eu-west-1:1:task/demo/\($t)", ($e + "container-name"): $c,
			($e + "task-definition-family"): $f, ($e + "task-definition-version"): "3"},
		   env: ["ECS_AGENT_URI=http://169.254.170.2/api/id-\($t)"]}')" "${5:-}"
}
# describe NAME PID [JSON of more]: what the engine says of it, at once or not at all
describe() {
	local id more=${3:-\{\}}
	id=$(hex64 "${ID_OF:-$1}")
	jq -nc --arg n "$1" --argjson p "$2" --argjson m "$more" '{name: $n, pid: $p} + $m' >"$TMP/one.json" && mv "$TMP/one.json" "$BOX/$id"
}
# settled PID CGROUP: it sleeps where it is meant to; who looked earlier saw another
settled() {
	wait_for 10 grep -q "^$1$" "$CG2$2/cgroup.procs"
	wait_for 10 grep -q '^sleep$' "/proc/$1/comm"
}
# box NAME [JSON of more] [CGROUP]: a container that runs. Its process is a sleep.
box() {
	local group=${3:-$CGROUP/box-$1}; [ -n "$group" ] || group=$CGROUP/box-$1
	mkdir -p "$CG2$group"
	sh -c 'echo 0 >"$1/cgroup.procs"; exec nsenter --net="$2" sleep 1000' sh "$CG2$group" "/run/netns/${NETNS:-$HOST}" &
	PID[$1]=$!
	settled "${PID[$1]}" "$group"
	describe "$1" "${PID[$1]}" "${2:-}"
}
# unbox NAME [CGROUP]: its process ends, its cgroup and the container are removed
unbox() {
	kill -9 "${PID[$1]}"; wait "${PID[$1]}" 2>/dev/null
	wait_for 10 rmdir "$CG2${2:-$CGROUP/box-$1}"
	rm -f "$BOX/$(hex64 "${ID_OF:-$1}")"
	unset "PID[$1]"
}
at_exit 'for p in "${PID[@]}"; do kill -9 "$p"; done; wait'
rules() { api http://s/api/v1/rules | jq -r "$1"; }
uri() { jq -rn --arg n "$1" '$n|@uri'; }
# rule_of NAME: the rule that acts on it, and by which selector
rule_of() { api "http://s/api/v1/rules/$(uri "$1")" | jq -r '"\(.rule.text // "none")\(if .by then " by " + .by else "" end)"'; }
has() { [ "$(rule_of "$1")" = "$2" ]; }
members() { api "http://s/api/v1/rules/$(uri "$1")" | jq -r '[.members[].target] | sort | join(",")'; }
members_are() { [ "$(members "$1")" = "$2" ]; }
