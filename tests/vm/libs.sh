# SPDX-License-Identifier: GPL-2.0-only
# copy_libs ROOT FILE...: the shared libraries the FILEs need, copied into ROOT
# under the same names; libraries that are there already are left alone.
copy_libs() {
	local root=$1 l; shift
	LC_ALL=C ldd "$@" 2>/dev/null | grep -o '/[^ ]*\.so[^ ]*' | sort -u | while read -r l; do
		case $l in /usr/*) ;; *) l=/usr$l ;; esac
		[ -e "$l" ] && [ ! -e "$root$l" ] || continue
		mkdir -p "$root${l%/*}"
		cp -L "$l" "$root$l"
	done
}
