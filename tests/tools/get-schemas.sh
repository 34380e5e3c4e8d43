#!/usr/bin/env bash
# get-schemas.sh PYTHON : the schemas of Kubernetes with the program that reads them, in build/kubernetes-validate.
# An environment of its own: no other test needs it, and it is larger than all that the others do.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
venv=build/kubernetes-validate
pins=tests/tools/kubernetes-validate.txt

if cmp -s "$pins" "$venv/.ready" && [ -x "$venv/bin/kubernetes-validate" ]; then exit 0; fi
echo "making $venv (23 MB to fetch)" >&2
mkdir -p build
"$1" -m venv --clear "$venv"
"$venv/bin/python" -m pip --quiet --disable-pip-version-check install -r "$pins"
cp "$pins" "$venv/.ready"
