#!/usr/bin/env bash
# make-venv.sh DIRECTORY [--newest] : a virtual environment with this project (editable) and its development tools,
# at the versions of constraints.txt, or at the newest ones allowed. Repeating it repairs and updates.
# EXTRAS=dev,pictures brings what pictures are drawn with too.
# PYTHON names the interpreter; without it the first of python3, python3.13, 3.12, 3.11 that is 3.11 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
venv=$1
constraints=(-c constraints.txt)
if [ "${2:-}" = --newest ]; then constraints=(); fi

# Two makes at once take turns. (Not everywhere is there a flock; nothing else would break the tie.)
exec 9<constraints.txt
if command -v flock >/dev/null; then flock 9; fi

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

choose_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is needed, and none of these is: ${PYTHON:-python3 python3.13 python3.12 python3.11}" >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3 ..." >&2
    return 1
}

# An environment of another directory (a copied tree) would import the project from there.
if ! new_enough "$venv/bin/python" || [ "$(cat "$venv/.ready" 2>/dev/null || pwd)" != "$(pwd)" ]; then
    python=$(choose_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print(f"python3.{sys.version_info[1]}-venv")')
        tests/tools/apt-install.sh "$package" || {
            echo "$python cannot make virtual environments; on Debian or Ubuntu: sudo apt-get install $package" >&2
            exit 1
        }
    fi
    echo "making $venv with $("$python" --version)" >&2
    "$python" -m venv --clear "$venv"
fi

pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install ${constraints[@]+"${constraints[@]}"} --upgrade pip setuptools
# Built with the setuptools just installed: an isolated build would fetch another one, outside the constraints.
# Its warning that an editable install is an editable install is no news.
PYTHONWARNINGS=ignore pip install ${constraints[@]+"${constraints[@]}"} --no-build-isolation -e ".[${EXTRAS:-dev}]"
pwd >"$venv/.ready"
