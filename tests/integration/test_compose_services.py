"""Services of the compose file with real programs, locked up as the file says: they need no more than it gives them.

The images that it names cannot be pulled here. What runs instead are the programs of this machine, Distribution 3 and
Prometheus, in a container made of the service's own words: read-only root, capabilities, volumes, environment.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.podman import LIMITS, Podman, working_podman
from tests.support.processes import require_tool
from tests.support.programs import require_program
from tests.support.python_root import install_libraries

pytestmark = [pytest.mark.prove, pytest.mark.timeout(600)]

_FOLDER = Path(__file__).parents[2] / "config" / "container"
_SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((_FOLDER / "compose.yaml").read_text())["services"]
_WAIT = """import sys, time, urllib.error, urllib.request as r
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        answer = r.urlopen(sys.argv[1], timeout=5)
        print(answer.status, answer.read().decode())
        break
    except OSError:
        time.sleep(0.1)"""
_PUSH = """import hashlib, urllib.request as r
base, data = "http://127.0.0.1:5000", b"a layer"
digest = "sha256:" + hashlib.sha256(data).hexdigest()
place = r.urlopen(r.Request(base + "/v2/team/app/blobs/uploads/", method="POST")).headers["Location"]
url = place + ("&" if "?" in place else "?") + "digest=" + digest
r.urlopen(r.Request(url, data, {"Content-Type": "application/octet-stream"}, method="PUT"))
print(r.urlopen(base + "/v2/team/app/blobs/" + digest).read().decode())"""
_WRITE = """import sys
try:
    open(sys.argv[1], "w").close()
    print("written")
except OSError as error:
    print(error.errno)"""
_STATUS = """print(*[line for line in open("/proc/1/status") if line.startswith(("Cap", "NoNewPrivs"))])"""


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Podman]:
    """Return a podman whose base image has the programs of the services."""

    def fill(root: Path) -> None:
        (root / "bin").mkdir(exist_ok=True)
        for name, program in (
            ("registry", require_program("distribution3")),
            ("prometheus", require_tool("prometheus")),
        ):
            shutil.copy2(Path(program).resolve(), root / "bin" / name)
            install_libraries(root, Path(program))

    podman = working_podman(tmp_path_factory.mktemp("podman"), fill)
    try:
        yield podman
    finally:
        podman.clear()


def _start(podman: Podman, name: str, *command: str, user: str = "0:0") -> None:
    """Run a service as its part of the file says, but for the image and the network."""
    service = _SERVICES[name]
    assert service["read_only"]
    words = ["--read-only", "--read-only-tmpfs=false", "--user", user]
    for option, key in (("--cap-drop", "cap_drop"), ("--security-opt", "security_opt"), ("--tmpfs", "tmpfs")):
        words += [word for value in service[key] for word in (option, value.removesuffix(":true"))]
    for key, value in service.get("environment", {}).items():
        words += ["--env", f"{key}={value}"]
    for volume in service["volumes"]:
        source, target = volume.split(":", 1)
        # A new volume belongs to whom the folder of the image does: here there is none.
        words += ["-v", f"{(_FOLDER / source).resolve()}:{target}" if source[0] == "." else f"{source}:{target}:U"]
    podman.run("run", "--detach", "--name", name, "--network", "none", *LIMITS, *words, "localhost/base", *command)


def _is_locked_up(podman: Podman, name: str) -> None:
    status = podman.python(name, _STATUS)
    assert dict(zip(status[::2], status[1::2], strict=True)) == {
        **dict.fromkeys(("CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"), "0" * 16),
        "NoNewPrivs:": "1",
    }
    assert podman.python(name, _WRITE, "/etc/new") == ["30"], "the root is read-only"


def test_the_primary_takes_a_push(podman: Podman) -> None:
    _start(podman, "primary", "/bin/registry", "serve", "/etc/distribution/config.yml")
    assert podman.python("primary", _WAIT, "http://127.0.0.1:5000/v2/")[0] == "200"
    assert podman.python("primary", _PUSH) == ["a", "layer"]
    assert podman.python("primary", _WAIT, "http://127.0.0.1:5001/metrics")[0] == "200"
    said = podman.run("logs", "primary")
    assert "for-trying-only" not in said.stdout + said.stderr
    _is_locked_up(podman, "primary")


def test_prometheus_reads_the_rules_and_keeps_what_it_scrapes(podman: Podman) -> None:
    words = ("--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus")
    _start(podman, "prometheus", "/bin/prometheus", *words, user="65534:65534")
    assert podman.python("prometheus", _WAIT, "http://127.0.0.1:9090/-/ready")[0] == "200"
    rules = " ".join(podman.python("prometheus", _WAIT, "http://127.0.0.1:9090/api/v1/rules"))
    assert "/etc/prometheus/rules/alerts.yaml" in rules
    assert podman.python("prometheus", _WRITE, "/prometheus/new") == ["written"]
    _is_locked_up(podman, "prometheus")
    podman.run("stop", "-t", "20", "prometheus")
    assert podman.inspect("container", "prometheus")["State"]["ExitCode"] == 0, "its data are written out"
