"""The manifests by Kubernetes' own schemas, strictly, for the oldest version that the sidecar needs and a new one.

The schemas are large, so `make prove` alone installs them (tests/tools/get-schemas.sh). A ServiceMonitor is not part
of Kubernetes: tests/meta/test_service_monitor.py judges it.
"""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.prove

_PROJECT = Path(__file__).parents[2]
_PROGRAM = _PROJECT / "build/kubernetes-validate/bin/kubernetes-validate"
_FILES = sorted((_PROJECT / "config/container/kubernetes").glob("*.yaml"))
_VERSIONS = ("1.29", "1.37")


def _validate(*files: Path) -> subprocess.CompletedProcess[str]:
    if not os.access(_PROGRAM, os.X_OK):
        pytest.skip("kubernetes-validate could not be installed (make prove tries it)")
    versions = [word for version in _VERSIONS for word in ("-k", version)]
    command = [str(_PROGRAM), "--strict", *versions, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)


def test_every_manifest_is_what_the_schemas_ask_for() -> None:
    done = _validate(*_FILES)
    print(done.stdout)
    assert (done.returncode, done.stderr) == (0, "")
    documents = [document for file in _FILES for document in yaml.safe_load_all(file.read_text())]
    kinds = [document["kind"] for document in documents]
    assert kinds.count("ServiceMonitor") == 1
    lines = done.stdout.splitlines()
    assert len([line for line in lines if " passed for " in line]) == (len(kinds) - 1) * len(_VERSIONS)
    unjudged = [line for line in lines if " passed for " not in line]
    assert len(unjudged) == len(_VERSIONS)
    assert all("ServiceMonitor" in line for line in unjudged)


@pytest.mark.parametrize(
    ("name", "right", "wrong", "message"),
    [
        ("deployment.yaml", "periodSeconds", "periodSecond", "periodSecond"),
        ("deployment.yaml", "containerPort: 8080", 'containerPort: "8080"', "not of type"),
        ("deployment.yaml", "name: replicator\n          image", "image", "'name' is a required property"),
        ("sidecar.yaml", "serviceName: registry\n", "serviceNames: registry\n", "serviceNames"),
        ("network-policy.yaml", "cidr:", "cird:", "'cidr' is a required property"),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, name: str, right: str, wrong: str, message: str) -> None:
    text = next(file for file in _FILES if file.name == name).read_text()
    assert right in text
    (tmp_path / name).write_text(text.replace(right, wrong))
    done = _validate(tmp_path / name)
    assert done.returncode == 1
    assert message in done.stdout
