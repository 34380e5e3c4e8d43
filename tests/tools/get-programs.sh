#!/usr/bin/env bash
# get-programs.sh [--or-containers] PROGRAM... : make sure that these programs can be run.
# A program on PATH is used as it is; the others are installed from the Debian packages of the same names (or as below)
# when this user may. With --or-containers a working docker or podman will do instead. Else says what to install, and exits 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

or_containers=
if [ "${1:-}" = --or-containers ]; then
    or_containers=yes
    shift
fi

package_of() {
    case $1 in
        systemd-analyze) echo systemd ;;
        pg_ctlcluster) echo postgresql ;;
        systemd-nspawn) echo systemd-container ;;
        *) echo "$1" ;;
    esac
}

# Where runc is; a plain user's PATH may lack it.
PATH=$PATH:/usr/sbin
missing=()
for program in "$@"; do
    command -v "$program" >/dev/null || missing+=("$(package_of "$program")")
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

status=0
./apt-install.sh "${missing[@]}" || status=$?
if [ "$status" -eq 0 ]; then exit 0; fi

if [ -n "$or_containers" ]; then
    for engine in docker podman; do
        if command -v "$engine" >/dev/null && "$engine" info >/dev/null 2>&1; then
            echo "no ${missing[*]} here: $engine will run it" >&2
            exit 0
        fi
    done
fi

echo "missing: ${missing[*]}" >&2
echo "Install it and try again, on Debian or Ubuntu: sudo apt-get install ${missing[*]}" >&2
if [ -n "$or_containers" ]; then echo "Or start docker or podman, so that this user can run containers." >&2; fi
exit 1
