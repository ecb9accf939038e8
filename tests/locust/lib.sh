# SPDX-License-Identifier: GPL-2.0-only
# Sourced by tests/locust/*.test after tests/lib.sh and tests/sim/lib.sh. Gives:
#   fleet TEXT...             $TMP/fleet.yaml and, from it, $TMP/locustfile.py
#   start_broker              a real mosquitto on BROKER_PORT
#   start_master ARGS...      Debian's Locust as master with its web UI; master_pid, MASTER_PORT,
#                             WEB_PORT, log in $TMP/master.log
#   start_worker NAME ARGS... a worker; its pid in NAME, its files $TMP/NAME.out (JSON) and .err
#   ui FILTER                 jq on /stats/requests (which Locust itself caches for 2 s)
#   ui_users                  the number of users on the UI's page (not cached)
#   post PATH DATA...         to the web UI
#   csv_cell TYPE/NAME COLUMN of $TMP/csv_stats.csv
#   worker_sum FIELD [NAME]   of all rows (or those named NAME) of all workers' last summaries
# LOCUST_PYTHON=/path/of/venv/bin/python3: another Locust than Debian's.
LOCUST="${LOCUST_PYTHON:-/usr/bin/python3} -m locust"
${LOCUST_PYTHON:-/usr/bin/python3} -c 'import locust' 2>/dev/null || skip "no Locust: apt-get install python3-locust"

fleet() {
	printf '%s\n' "$@" >"$TMP/fleet.yaml"
	squall-sim locustfile --fleet "$TMP/fleet.yaml" --output "$TMP/locustfile.py"
}

start_broker() {
	BROKER_PORT=$(free_port)
	printf '%s\n' "listener $BROKER_PORT 127.0.0.1" "allow_anonymous true" "user root" \
		"max_queued_messages 0" "max_inflight_messages 0" "set_tcp_nodelay true" \
		"sys_interval 1" "log_type error" >"$TMP/mosquitto.conf"
	bg broker_pid mosquitto -c "$TMP/mosquitto.conf" 2>"$TMP/mosquitto.err"
	wait_for 20 mosquitto_pub -p "$BROKER_PORT" -t up -n || { cat "$TMP/mosquitto.err"; return 1; }
}

start_master() {
	MASTER_PORT=${MASTER_PORT:-$(free_port)} WEB_PORT=${WEB_PORT:-$(free_port)}
	# Not through a function: its $! would be a subshell, and Locust would live on.
	$LOCUST -f "${LOCUSTFILE:-$TMP/locustfile.py}" --master --master-bind-host 127.0.0.1 \
		--master-bind-port "$MASTER_PORT" --web-host 127.0.0.1 --web-port "$WEB_PORT" \
		"$@" >>"$TMP/master.log" 2>&1 &
	master_pid=$!
	at_exit "kill $master_pid; wait $master_pid"
	case " $* " in
	*" --headless "*) wait_for 30 listens "$MASTER_PORT" ;;
	*) wait_for 30 ui_users ;;
	esac || { cat "$TMP/master.log"; return 1; }
}
listens() { [ -n "$(ss -Hltn "sport = :$1")" ]; }

start_worker() {
	local name=$1; shift
	squall-sim worker --master-port "$MASTER_PORT" --fleet "$TMP/fleet.yaml" -j "$@" \
		>>"$TMP/$name.out" 2>>"$TMP/$name.err" &
	eval "$name=$!"
	at_exit "kill -9 $! ; wait $!"
	workers="${workers:-} $name"
}

web() { curl -sf -m 10 "http://127.0.0.1:$WEB_PORT/$1"; }
ui() { web stats/requests | jq -r "$1"; }
ui_users() {
	local n
	n=$(web "" | sed -n 's/.*id="userCount">\([0-9]*\)<.*/\1/p')
	[ -n "$n" ] && echo "$n"
}
ui_has() { [ "$(ui "$1")" = "$2" ]; }
ui_shows() { [ "$(ui_users)" = "$1" ]; }
post() {
	local path=$1 args=(); shift
	for a in "$@"; do args+=(--data-urlencode "$a"); done
	curl -sf -m 20 "${args[@]}" "http://127.0.0.1:$WEB_PORT/$path" >"$TMP/post"
}
swarm() { post swarm "user_count=$1" "spawn_rate=$2" "${@:3}"; }

csv_cell() { # NAME COLUMN
	/usr/bin/python3 - "$TMP/csv_stats.csv" "$1" "$2" <<-'END'
		import csv, sys
		for row in csv.DictReader(open(sys.argv[1])):
		    if row["Name"] == sys.argv[2]:
		        print(row[sys.argv[3]])
	END
}
worker_sum() {
	for w in $workers; do tail -1 "$TMP/$w.out"; done |
		jq -s "[.[].rows[] | select(${2:+.name == \"$2\" and} true) | .$1] | add // 0"
}
joined() { grep -q "joined the master" "$TMP/$1.err"; }
