# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the tests that use aedes, after tests/lib.sh: node and the packages of
# package-lock.json, or a skip that says what is missing.
command -v node >/dev/null || skip "no node: apt-get install nodejs npm"
[ "$(node -p 'parseInt(process.versions.node)')" -ge 20 ] || skip "node $(node --version) is too old for aedes: 20 or later"
(
	here=$TOP/tests/sim/aedes
	flock 8
	cmp -s "$here/package-lock.json" "$here/node_modules/.squall-lock" && exit 0
	# Not in deps: other builds of nodejs bring npm themselves and conflict with Debian's package.
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends npm >"$TMP/npm" 2>&1
	command -v npm >/dev/null || exit 3
	cd "$here" && npm ci --no-audit --no-fund --ignore-scripts >"$TMP/npm" 2>&1 && cp package-lock.json node_modules/.squall-lock
) 8>/tmp/squall-aedes-npm.lock
case $? in
0) ;;
3) skip "no npm: apt-get install npm" ;;
*) cat "$TMP/npm"; skip "npm could not fetch aedes: $(tail -1 "$TMP/npm")" ;;
esac
