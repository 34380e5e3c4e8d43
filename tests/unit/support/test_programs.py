"""Programs built from source are found, or it is said plainly why they are not there."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import require_program

ROOT = Path(__file__).parents[3]
NEEDED = ("bash", "cat", "chmod", "cksum", "dirname", "env", "flock", "mkdir", "mv", "rm", "sed", "tail")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy what is needed to build, with a PATH (`bin`) that has neither Go nor apt."""
    shutil.copytree(ROOT / "tests/tools", tmp_path / "tests/tools")
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (tmp_path / "bin" / name).symlink_to(found)
    return tmp_path


def build(tree: Path, *programs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tree / "tests/tools/build-programs.sh", *programs],
        env={"PATH": str(tree / "bin")},
        capture_output=True,
        text=True,
        check=False,
    )


def put(tree: Path, name: str, script: str) -> None:
    path = tree / "bin" / name
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def test_without_go_it_says_what_is_skipped_and_tests_skip_with_the_same_reason(tree: Path) -> None:
    done = build(tree, "ociregistry", "distribution3")
    assert done.returncode == 0
    reason = "Go is not installed (1.21 or newer, on PATH)"
    assert f"skipped: ociregistry distribution3: {reason}" in done.stderr
    assert "make tools" in done.stderr
    with pytest.raises(pytest.skip.Exception, match=r"ociregistry: Go is not installed"):
        require_program("ociregistry", tree / "build/programs")


@pytest.mark.parametrize(
    ("go", "reason"),
    [
        ("[ $1 = env ] && echo go1.19.8", "go1.19.8 is too old (1.21 or newer is needed)"),
        ("[ $1 = env ] && echo go1.25.1 || { echo no route >&2; exit 1; }", "no route"),
    ],
    ids=["old", "offline"],
)
def test_a_go_that_cannot_do_it_is_named(tree: Path, go: str, reason: str) -> None:
    put(tree, "go", go)
    done = build(tree, "ociregistry")
    assert done.returncode == 0
    assert (tree / "build/programs/ociregistry.skipped").read_text() == f"ociregistry: {reason}\n"


def test_what_is_built_is_left_alone_until_its_sources_change(tree: Path) -> None:
    """And a program that cannot be built again is no longer there: tests must not run an old one."""
    log = tree / "log"
    built = 'out="${@: -2:1}"; [ $1 = build ] && echo >"$out" && chmod 755 "$out"'
    put(tree, "go", f"echo $@ >>{log}; [ $1 = env ] && echo go1.26.0; {built}; exit 0")
    for _ in range(2):
        assert build(tree, "crane").returncode == 0
    assert [line.split()[0] for line in log.read_text().splitlines()].count("build") == 1
    program = tree / "build/programs/crane"
    assert require_program("crane", program.parent) == str(program)
    with (tree / "tests/tools/programs/go.mod").open("a") as file:
        file.write("\n")
    put(tree, "go", "exit 1")
    assert "skipped" in build(tree, "crane").stderr
    assert not program.exists()


def test_where_nobody_tried_to_build_it_the_test_fails(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="make tools"):
        require_program("ociregistry", tmp_path)
