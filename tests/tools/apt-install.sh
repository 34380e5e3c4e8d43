#!/usr/bin/env bash
# apt-install.sh PACKAGE... : install Debian packages, as root or by sudo without a password.
# Services that a package brings are neither started now nor enabled for the next boot.
# Exit 69 when this machine or this user cannot install packages; nothing was changed then.
set -euo pipefail

if ! command -v apt-get >/dev/null; then
    exit 69
fi
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || exit 69
    exec sudo -n "$0" "$@"
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
policy=/usr/sbin/policy-rc.d
made_policy=
cleanup() {
    rm -f "$log"
    if [ -n "$made_policy" ]; then rm -f "$policy"; fi
}
trap cleanup EXIT

# Maintainer scripts ask this file whether they may start a service. One that is there already is the admin's.
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    made_policy=yes
fi

echo "installing Debian packages: $*" >&2
wait_for_lock="-o DPkg::Lock::Timeout=300"
# shellcheck disable=SC2086 # one option of two words
if ! { apt-get $wait_for_lock -qq update && apt-get $wait_for_lock -qq -y --no-install-recommends install "$@"; } \
    >"$log" 2>&1 </dev/null; then
    cat "$log" >&2
    exit 1
fi

for unit in $(dpkg-query -L "$@" | sed -n 's,.*/systemd/system/\([^/@]*\)\.service$,\1,p' | sort -u); do
    if [ -d /run/systemd/system ]; then systemctl --quiet stop "$unit.service" || true; fi
    # Both ways of starting at boot; neither needs a systemd to be there.
    deb-systemd-helper disable "$unit.service" >/dev/null 2>&1 || true
    update-rc.d "$unit" disable >/dev/null 2>&1 || true
done
