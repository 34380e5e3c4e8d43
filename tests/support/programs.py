"""Programs that `make tools` builds for the tests, since no Debian package brings them."""

import os
from pathlib import Path

import pytest

BUILT = Path(__file__).parents[2] / "build" / "programs"
"""Where they lie, and beside them, in `NAME.source`, what some read when they run."""


def require_program(name: str, folder: Path = BUILT) -> str:
    """Return the path of a program of tests/tools/build-programs.sh.

    Skips the test with the reason that `make tools` gave where it could not build it; fails where it did not try.
    """
    path = folder / name
    if os.access(path, os.X_OK):
        return str(path)
    reason = folder / f"{name}.skipped"
    if reason.exists():
        pytest.skip(reason.read_text().strip())
    raise AssertionError(f"{name} is not built; the tests need it: make tools")
