"""The shipped units under a systemd that has really booted, in a container of systemd-nspawn on this machine's files.

Needs root, overlayfs and systemd-nspawn: where they are not to be had this is skipped, with the reason.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.python_root import PREFIX, install_project, install_python

pytestmark = pytest.mark.prove

_UNITS = Path(__file__).parents[2] / "config" / "systemd"
_CONFIG = """version: 1
primary: {{url: "http://127.0.0.1:1"}}
replicas: [{{name: eu, url: "http://127.0.0.1:2"}}]
webhooks:
  listen: 127.0.0.1:{hooks}
  endpoints:
    - path: /webhooks/primary
      auth: {{bearer_token_file: /run/credentials/{unit}.service/secrets_hook}}
admin: {{listen: "127.0.0.1:{admin}"}}
store: {{url: "sqlite:////var/lib/{state}/replicator.db"}}
"""
_LIBRARIES = f"Environment=LD_LIBRARY_PATH={PREFIX}/lib\n"
_DRIVER = """[Unit]
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
{libraries}ExecStart={python} /opt/booted_system.py /opt/report
"""


@contextlib.contextmanager
def _overlay(folder: Path) -> Iterator[Path]:
    """Mount a copy on write of this machine's root."""
    for name in ("changes", "work", "root"):
        (folder / name).mkdir()
    root = folder / "root"
    layers = f"lowerdir=/,upperdir={folder / 'changes'},workdir={folder / 'work'}"
    mounted = subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", layers, str(root)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no overlay can be mounted here: {mounted.stderr.strip()}")
    try:
        yield root
    finally:
        subprocess.run(["umount", str(root)], check=True)


def _install(root: Path) -> None:
    shutil.rmtree(root / "etc/replicator", ignore_errors=True)
    python = install_python(root)
    install_project(root, python)
    secrets = root / "etc/replicator/secrets"
    secrets.mkdir(parents=True)
    secrets.chmod(0o700)
    (secrets / "hook").write_text("the-hook-canary\n")
    for unit, file, state, hooks, admin in (
        ("replicator", "replicator.yaml", "replicator", 8080, 9464),
        ("replicator@second", "second.yaml", "replicator-second", 8081, 9465),
    ):
        text = _CONFIG.format(unit=unit, state=state, hooks=hooks, admin=admin)
        (root / "etc/replicator" / file).write_text(text)
    system = root / "etc/systemd/system"
    for path in _UNITS.iterdir():
        shutil.copy2(path, system / path.name)
        (system / f"{path.name}.d").mkdir()
        (system / f"{path.name}.d" / "python.conf").write_text(f"[Service]\n{_LIBRARIES}")
    (system / "proof.service").write_text(_DRIVER.format(python=python, libraries=_LIBRARIES))
    shutil.copy2(Path(__file__).with_name("booted_system.py"), root / "opt/booted_system.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the system saw of its units."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a system in a container")
    if shutil.which("systemd-nspawn") is None:
        pytest.skip("systemd-nspawn is not here (Debian package systemd-container)")
    with _overlay(tmp_path_factory.mktemp("boot")) as root:
        _install(root)
        command = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "-M", "proof"]
        command += ["-D", str(root), "--boot", "systemd.unit=proof.service"]
        booted = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=300
        )
        report = root / "opt/report"
        if not report.exists():
            pytest.skip(f"this machine boots no container: {(booted.stdout + booted.stderr)[-1500:]}")
        text = report.read_text()
    print(text)
    document = json.loads(text.splitlines()[-1])
    assert isinstance(document, dict)
    return document


@pytest.mark.timeout(400)
def test_start_is_over_when_it_is_ready_and_it_runs_locked_up(seen: dict[str, Any]) -> None:
    life = seen["life"]
    assert (life["started"], life["ready"], life["webhook"]) == (0, 200, 202)
    assert (life["running"]["ActiveState"], life["running"]["SubState"]) == ("active", "running")
    uid = int(life["process"]["Uid"].split()[0])
    assert 61184 <= uid <= 65519, "a dynamic user"
    assert (life["process"]["NoNewPrivs"], life["process"]["Seccomp"]) == ("1", "2")
    assert {int(life["process"][name], 16) for name in ("CapEff", "CapBnd")} == {0}
    assert life["process_start_time"]


def test_a_reload_takes_effect_and_a_bad_one_is_shown(seen: dict[str, Any]) -> None:
    life = seen["life"]
    assert (life["reloaded"], life["new_objective"], life["mended"]) == (0, True, True)
    assert life["refused"]["ActiveState"] == "active"
    assert "1 mistake" in life["refused"]["StatusText"]


def test_a_stop_is_clean_and_what_was_taken_is_there_afterwards(seen: dict[str, Any]) -> None:
    life = seen["life"]
    assert (life["stopped"], life["stop_seconds"] < 20) == (0, True)
    assert (life["after_stop"]["Result"], life["after_stop"]["ExecMainStatus"]) == ("success", "0")
    assert life["owed_after_restart"]


def test_the_watchdog_is_fed_and_replaces_a_daemon_that_is_stuck(seen: dict[str, Any]) -> None:
    assert seen["watchdog"]["lives_when_fed"]
    assert seen["watchdog"]["replaced_when_stuck"]
    assert int(seen["watchdog"]["after"]["NRestarts"]) >= 1


def test_an_instance_of_the_template_has_a_store_of_its_own(seen: dict[str, Any]) -> None:
    assert (seen["template"]["started"], seen["template"]["ready"], seen["template"]["store"]) == (0, 200, True)
