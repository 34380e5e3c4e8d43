"""A secret that gets out fails the test, wherever it came out."""

import os
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from tests.meta.tree import ROOT
from tests.support.canaries import leaks
from tests.support.daemon import Daemon
from tests.support.web import basic

SECRET = "kept-canary"


def test_a_line_with_a_secret_is_found() -> None:
    assert leaks(f"one\nwith {SECRET}\nthree") == [f"with {SECRET}"]
    assert leaks("one\ntwo") == []


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "robot$mirror"])
def test_a_login_that_is_merely_encoded_is_found(user: str) -> None:
    (header,) = basic(user, SECRET).values()
    assert leaks(f"sent {header}") == [f"sent {header}"]


def test_a_token_is_found() -> None:
    token = jwt.encode({"sub": "mirror"}, "x" * 32)
    assert leaks(f"Bearer {token}")


async def test_a_daemon_that_wrote_a_secret_fails_its_test(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {})
    daemon.log.write_text(f"password={SECRET}\n")
    with pytest.raises(AssertionError, match="wrote secrets"):
        await daemon.discard()


@pytest.mark.parametrize("told", [f"print('{SECRET}')", f"logging.getLogger().warning('{SECRET}')"])
def test_a_test_that_prints_or_logs_a_secret_fails(tmp_path: Path, told: str) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_makereport\n")
    (tmp_path / "test_it.py").write_text(f"import logging\ndef test_it():\n    {told}\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, env=environ, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ran.returncode == 1, ran.stdout
    assert "put a secret into its output" in ran.stdout
