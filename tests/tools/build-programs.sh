#!/usr/bin/env bash
# build-programs.sh PROGRAM... : build programs that no Debian package brings into build/programs.
# Their versions are those of programs/go.mod, or stand here (`module_of`). Needs Go 1.21 or newer, which fetches the Go
# that go.mod asks for when it is older. Where there is no such Go, or it cannot fetch the sources, PROGRAM.skipped says
# why, the tests that need the program skip with the same words, and this exits 0. What is built and unchanged is left
# alone.
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
        gitea) echo . ;;
        *) echo "no such program: $1" >&2 && return 2 ;;
    esac
}

# A program whose go.mod replaces modules can be built as the main module alone, from its own sources: prints its module
# with the version, and the sum that those sources must have.
module_of() {
    case $1 in
        gitea) echo code.gitea.io/gitea@v1.24.0 h1:rxnOOkvHgi/yAnhdJSD4rvIpnVGEgoKPdUIVrrZiEPg= ;;
    esac
}

tags_of() {
    case $1 in
        gitea) echo sqlite,sqlite_unlock_notify ;;
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

# Leaves the sources of a program in $made/PROGRAM.source: what it reads when it runs lies there too.
get_source() {
    local program=$1 module sum told folder
    read -r module sum <<<"$(module_of "$program")"
    # A compiler of C is needed for its SQLite.
    if ! command -v "$(go env CC)" >/dev/null; then skip "a C compiler ($(go env CC)) is not installed"; fi
    if ! told=$(cd "$made" && go mod download -json "$module" 2>&1); then
        skip "$(sed -n 's/^\t"Error": "\(.*\)"$/\1/p' <<<"$told" | tail -n 1)"
    fi
    if ! grep -qF "\"Sum\": \"$sum\"" <<<"$told"; then
        skip "the sources of $module are not those that were looked at"
    fi
    folder=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$told")
    rm -rf "$made/$program.source"
    cp -r "$folder" "$made/$program.source"
    chmod -R u+w "$made/$program.source"
}

# Two makes at once take turns. (Go itself locks go.mod while it reads it.)
mkdir -p "$made"
exec 9<"$tools/build-programs.sh"
if command -v flock >/dev/null; then flock 9; fi

programs=$PWD
all_of_go_mod=$(cat go.mod go.sum ./*/*.go | cksum)
version_of() {
    local module
    module=$(module_of "$1")
    echo "${module:-$all_of_go_mod}"
}
wanted=()
for program in "$@"; do
    package_of "$program" >/dev/null
    built=$(cat "$made/$program.version" 2>/dev/null) || built=
    if [ -x "$made/$program" ] && [ "$built" = "$(version_of "$program")" ]; then continue; fi
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
    cd "$programs"
    if [ -n "$(module_of "$program")" ]; then
        get_source "$program"
        cd "$made/$program.source"
    fi
    tags=$(tags_of "$program")
    if ! said=$(go list -deps -tags "$tags" "$package" 2>&1 >/dev/null); then skip "$(tail -n 1 <<<"$said")"; fi
    go build -tags "$tags" -o "$made/.$program" "$package"
    mv "$made/.$program" "$made/$program"
    if [ -n "$(module_of "$program")" ]; then
        # The program reads these; the rest is large.
        find . -mindepth 1 -maxdepth 1 ! -name templates ! -name options ! -name public -exec rm -rf {} +
    fi
    version_of "$program" >"$made/$program.version"
    rm -f "$made/$program.skipped"
done
