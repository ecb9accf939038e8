# SPDX-License-Identifier: GPL-2.0-only
# Sourced by the *.test of this folder after tests/lib.sh: a browser, node and
# the two packages of package-lock.json, or a skip that says what is missing.
here=$TOP/tests/browser
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
export CHROMIUM
[ -n "$CHROMIUM" ] || skip "no Chromium: apt-get install chromium"
command -v node >/dev/null || skip "no node: apt-get install nodejs npm"
[ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ] || skip "node $(node --version) is too old: 18 or later"
(
	flock 8
	cmp -s "$here/package-lock.json" "$here/node_modules/.squall-lock" && exit 0
	# Not in deps: other builds of nodejs bring npm themselves and conflict with Debian's package.
	command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends npm >"$TMP/npm" 2>&1
	command -v npm >/dev/null || exit 3
	cd "$here" && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm ci --no-audit --no-fund --ignore-scripts >"$TMP/npm" 2>&1 &&
		cp package-lock.json node_modules/.squall-lock
) 8>/tmp/squall-browser-npm.lock
case $? in
0) ;;
3) skip "no npm: apt-get install npm" ;;
*) cat "$TMP/npm"; skip "npm could not fetch playwright-core and axe-core: $(tail -1 "$TMP/npm")" ;;
esac
