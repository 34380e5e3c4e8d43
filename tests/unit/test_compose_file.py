"""The compose file is sound by compose's own loader: schema, references, nothing misspelt."""

import subprocess
from pathlib import Path

import pytest

from tests.support.programs import require_program

_FILE = Path(__file__).parents[2] / "config" / "container" / "compose.yaml"


def _check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [require_program("composecheck"), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_compose_takes_the_file() -> None:
    done = _check(_FILE)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        ("cap_drop: [ALL]", "cap_dorp: [ALL]", "cap_dorp"),
        ("read_only: true", "read_only: perhaps", "invalid boolean"),
        ("hook: {file", "other: {file", "undefined secret hook"),
        ("eu: {}, us: {}", "eu: {}", "undefined volume us"),
        ("      state: {condition", "      nobody: {condition", "undefined service"),
    ],
)
def test_a_mistake_in_it_is_found(tmp_path: Path, right: str, wrong: str, message: str) -> None:
    text = _FILE.read_text()
    assert right in text
    (tmp_path / "compose.yaml").write_text(text.replace(right, wrong))
    done = _check(tmp_path / "compose.yaml")
    assert done.returncode == 1
    assert message in done.stderr
