# SPDX-License-Identifier: GPL-2.0-only
# Sourced after tests/lib.sh by tests/deploy/*.test.
#
#   netns $HOST ("the instance")                     netns $FAR ("IoT Core")
#     dockerd, squalld's container (network host)
#     docker0 10.96.0.1/24 -- veth -- workers        mosquitto, TLS, 10.95.0.2
#     h0 10.95.0.1 --------------------------------- f0 10.95.0.2
HOST=sqh-$run_id FAR=sqr-$run_id
DSOCK=$TMP/docker.sock
BROKER=10.95.0.2
in_host() { nsenter --net=/run/netns/$HOST "$@"; }
in_far() { nsenter --net=/run/netns/$FAR "$@"; }
# Also for `timeout docker` and `sh -c docker`, which a function would not reach.
export DOCKER_HOST=unix://$DSOCK DOCKER_BUILDKIT=0

# What the images install over their base, read from the Dockerfiles themselves.
runtime_packages() {
	sed -n '/^RUN want="/,/"/p' "$TOP/deploy/docker/$1.Dockerfile" | tr -d '\\\n' |
		sed 's/.*want="\([^"]*\)".*/\1/'
}

# cdk_app: $CDK is the compiled app, kept in build/ from test to test.
cdk_app() {
	CDK=$B/deploy/cdk
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -q --no-install-recommends nodejs npm >/dev/null
	command -v npm >/dev/null || skip "no npm here and none to install"
	mkdir -p "$B/deploy"
	exec 8>"$B/deploy/.lock"; flock 8
	if ! cmp -s "$TOP/deploy/cdk/package-lock.json" "$CDK/node_modules/.lock-of"; then
		rm -rf "$CDK"; mkdir -p "$CDK"
		cp "$TOP"/deploy/cdk/package*.json "$CDK/"
		if ! (cd "$CDK" && npm ci --no-audit --no-fund --ignore-scripts) >"$TMP/npm.log" 2>&1; then
			cat "$TMP/npm.log"; rm -rf "$CDK"
			# Without a registry nothing can be said about the stacks, good or bad.
			grep -qE 'ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN' "$TMP/npm.log" && skip "no npm registry"
			not_ok "npm ci"; exit 1
		fi
		cp "$TOP/deploy/cdk/package-lock.json" "$CDK/node_modules/.lock-of"
	fi
	tar -C "$TOP/deploy/cdk" -cf - --exclude=./node_modules --exclude=./build --exclude=./cdk.out . |
		tar -C "$CDK" -xf -
	(cd "$CDK" && npm run -s build) || { not_ok "the CDK app compiles"; exit 1; }
	flock -u 8
}

stop_pid() { # PID SECONDS
	kill "$1" 2>/dev/null
	for _ in $(seq $(($2 * 20))); do kill -0 "$1" 2>/dev/null || return 0; sleep 0.05; done
	kill -9 "$1" 2>/dev/null
}

dockerd_up() {
	command -v dockerd >/dev/null || skip "no dockerd: apt-get install docker.io"
	for n in $HOST $FAR; do ip netns add $n; at_exit "ip netns del $n"; ip -n $n link set lo up; done
	ip -n $HOST link add h0 type veth peer name f0 netns $FAR
	ip -n $HOST addr add 10.95.0.1/24 dev h0; ip -n $HOST link set h0 up
	ip -n $FAR addr add $BROKER/24 dev f0; ip -n $FAR link set f0 up
	ip -n $FAR route add default via 10.95.0.1
	in_host sysctl -qw net.ipv4.ip_forward=1
	at_exit 'find "'$CG2/squall-test-$run_id'" -depth -type d -exec rmdir {} + ; for c in /sys/fs/cgroup/*/squall-test-'$run_id'; do find "$c" -depth -type d -exec rmdir {} + ; done'
	at_exit 'umount -R -l "$TMP/data" "$TMP/exec"; grep -o "$TMP/[^ ]*" /proc/mounts | sort -r | xargs -r umount -l'
	# Not by in_host: the process in the background would be a shell, and outlived by its child.
	nsenter --net=/run/netns/$HOST dockerd --data-root "$TMP/data" --exec-root "$TMP/exec" -p "$TMP/dockerd.pid" -H "unix://$DSOCK" \
		--iptables=false --ip-masq=false --cgroup-parent "/squall-test-$run_id" --bip 10.96.0.1/24 \
		--default-address-pool base=10.94.0.0/16,size=24 >>"$TMP/dockerd.log" 2>&1 &
	DOCKERD=$!
	at_exit 'docker ps -aq | xargs -r docker rm -f; stop_pid $DOCKERD 30; wait $DOCKERD'
	wait_for 60 docker version || { tail -20 "$TMP/dockerd.log"; not_ok "dockerd started"; exit 1; }
}

# import_tree NAME [-c CHANGE] PACKAGE...: a Debian base of these packages; its size in bytes in SIZE.
import_tree() {
	local name=$1 change=(); shift
	[ "${1:-}" = -c ] && { change=(-c "$2"); shift 2; }
	rm -rf "$TMP/tree"
	"$TOP/tests/deploy/mkroot" "$TMP/tree" "$@" >/dev/null || { not_ok "base tree $name"; exit 1; }
	SIZE=$(tar -C "$TMP/tree" -c . | tee >(docker import "${change[@]}" - "$name" >/dev/null) | wc -c)
	wait_for 30 docker image inspect "$name"
	rm -rf "$TMP/tree"
}

# precompiled DOCKERFILE: the same with the context's out/ for its compile stage.
precompiled() {
	awk '/ AS compile$/ { print "FROM scratch AS compile\nCOPY out /out"; skip = 1; next }
	     /^FROM / { skip = 0 } !skip' "$1"
}

# build_image NAME BASE: deploy/docker/NAME.Dockerfile, with its compile stage
# replaced by what this checkout has built already: there is no package mirror
# inside this engine.
build_image() {
	local part; part=$([ "$1" = squalld ] && echo daemon || echo sim)
	rm -rf "$TMP/context"; mkdir -p "$TMP/context"
	make -s -C "$TOP" B="$B" "install-$part" DESTDIR="$TMP/context/out" PREFIX=/usr STRIP=strip \
		>"$TMP/install.log" 2>&1 || { cat "$TMP/install.log"; return 1; }
	precompiled "$TOP/deploy/docker/$1.Dockerfile" >"$TMP/context/Dockerfile"
	docker build --network none --build-arg BASE="$2" -t "$1" "$TMP/context" >"$TMP/build.log" 2>&1 ||
		{ tail -30 "$TMP/build.log"; return 1; }
}
