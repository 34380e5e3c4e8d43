"""The units in config/systemd are sound by systemd's own judgement, and as locked up as it was promised."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import require_tool

_UNITS = Path(__file__).parents[2] / "config" / "systemd"
_NAMES = {"replicator.service": "replicator.service", "replicator@.service": "replicator@eu-west.service"}


@pytest.fixture(params=_NAMES)
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the unit with a program that is there, under the name of an instance where it is a template."""
    text = (_UNITS / request.param).read_text()
    assert "/usr/local/bin/replicator " in text
    path = tmp_path / _NAMES[request.param]
    for name in {request.param, path.name}:
        (tmp_path / name).write_text(text.replace("/usr/local/bin/replicator ", "/bin/true "))
    return path


def _analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    program = require_tool("systemd-analyze")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    verified = _analyze("verify", "--man=no", unit)
    about_us = [line for line in verified.stderr.splitlines() if "replicator" in line]
    assert (verified.returncode, about_us) == (0, [])


def test_it_is_locked_up(unit: Path) -> None:
    judged = _analyze("security", "--offline=true", "--no-pager", unit)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    assert found is not None, judged.stdout + judged.stderr
    assert float(found[1]) <= 1.2


def test_the_template_differs_from_the_unit_in_names_only() -> None:
    """What is mended in one is mended in the other."""
    units = [
        [line for line in (_UNITS / name).read_text().splitlines() if not line.startswith("#")] for name in _NAMES
    ]
    alone, template = (
        [line for line in lines if not re.match(r"Description|ExecStart|StateDirectory=", line)] for lines in units
    )
    assert alone == template
