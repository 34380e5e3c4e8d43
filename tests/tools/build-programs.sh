#!/usr/bin/env bash
# build-programs.sh PROGRAM... : build programs that no Debian package brings into build/programs.
# Their versions are those of programs/go.mod. Needs Go 1.21 or newer, which fetches the Go that go.mod asks for when it
# is older. Where there is no such Go, or it cannot fetch the sources, PROGRAM.skipped says why, the tests that need the
# program skip with the same words, and this exits 0. What is built and unchanged is left alone.
set -euo pipefail
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
made=$(cd "$tools/../.." && pwd)/build/programs
cd "$tools/programs"

package_of() {
    case $1 in
        distribution3) echo github.com/distribution/distribution/v3/cmd/registry ;;
        ociregistry) echo ./ociregistry ;;
        composecheck) echo ./composecheck ;;
        crane) echo github.com/google/go-containerregistry/cmd/crane ;;
        regsync) echo github.com/regclient/regclient/cmd/regsync ;;
        *) echo "no such program: $1" >&2 && return 2 ;;
    esac
}

# Prints why the Go on PATH will not do; nothing when it will.
why_not_go() {
    local version
    version=$(go env GOVERSION 2>/dev/null) || version=
    if [ -z "$version" ]; then
        echo "Go is not installed (1.21 or newer, on PATH)"
    elif ! at_least_1_21 "${version#go}"; then
        echo "$version is too old (1.21 or newer is needed)"
    fi
}

at_least_1_21() {
    local major minor
    IFS=. read -r major minor _ <<<"$1"
    minor=${minor%%[!0-9]*}
    [ "${major:-0}" -gt 1 ] || { [ "${major:-0}" -eq 1 ] && [ "${minor:-0}" -ge 21 ]; }
}

# Debian 12 offers 1.19 only, which would be installed for nothing.
try_apt() {
    local offered
    offered=$(apt-cache policy golang-go 2>/dev/null | sed -n 's/^ *Candidate: \([0-9]*:\)\{0,1\}//p') || return 0
    if at_least_1_21 "${offered%%[~-]*}"; then "$tools/apt-install.sh" golang-go || true; fi
}

skip() {
    for program in "${wanted[@]}"; do
        echo "$program: $1" >"$made/$program.skipped"
        rm -f "$made/$program" "$made/$program.version"
    done
    echo "skipped: ${wanted[*]}: $1" >&2
    echo "The tests that need them are skipped. Once that is mended, make tools builds them." >&2
    exit 0
}

# Two makes at once take turns. (Go itself locks go.mod while it reads it.)
mkdir -p "$made"
exec 9<"$tools/build-programs.sh"
if command -v flock >/dev/null; then flock 9; fi

version=$(cat go.mod go.sum ./*/*.go | cksum)
wanted=()
for program in "$@"; do
    package_of "$program" >/dev/null
    if [ -x "$made/$program" ] && [ "$(cat "$made/$program.version" 2>/dev/null)" = "$version" ]; then continue; fi
    wanted+=("$program")
done
if [ ${#wanted[@]} -eq 0 ]; then exit 0; fi

why=$(why_not_go)
if [ -n "$why" ]; then
    try_apt
    why=$(why_not_go)
fi
if [ -n "$why" ]; then skip "$why"; fi

# A distribution's Go may be told never to fetch a newer one; a user's own word is kept.
export GOTOOLCHAIN=${GOTOOLCHAIN:-auto}
# Sources that can be removed by rm; no questions to a version control.
export GOFLAGS="${GOFLAGS:-} -modcacherw -buildvcs=false"
for program in "${wanted[@]}"; do
    package=$(package_of "$program")
    echo "building $program with $(go env GOVERSION 2>/dev/null || go version) (the first time takes minutes)" >&2
    if ! said=$(go list -deps "$package" 2>&1 >/dev/null); then skip "$(tail -n 1 <<<"$said")"; fi
    go build -o "$made/.$program" "$package"
    mv "$made/.$program" "$made/$program"
    echo "$version" >"$made/$program.version"
    rm -f "$made/$program.skipped"
done
