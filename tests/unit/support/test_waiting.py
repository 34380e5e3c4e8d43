"""Waiting in tests: polling ends with the first true value or a clear failure, and the fake clock moves alone."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.ports import Port
from tests.support.processes import require_tool

LEAVING = """
import pathlib, subprocess, sys
kept = []
def test_leaves():
    kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
    pathlib.Path("pid").write_text(str(kept[0].pid))
def test_leaves_nothing():
    subprocess.run(["true"], check=True)
"""


async def test_eventually_returns_the_first_true_value() -> None:
    values = iter([0, "", None, "found", "later"])
    assert await eventually(lambda: next(values), what="a value") == "found"


async def test_eventually_takes_coroutines() -> None:
    values = iter([False, True])

    async def check() -> bool:
        return next(values)

    assert await eventually(check, what="a value")


async def test_eventually_fails_with_what_it_waited_for_and_the_last_value() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon; last value: 0"):
        await eventually(lambda: 0, within=0.05, what="the moon")


async def test_eventually_does_not_swallow_exceptions() -> None:
    def broken() -> Awaitable[bool]:
        raise KeyError("broken")

    with pytest.raises(KeyError):
        await eventually(broken, what="nothing")


async def test_sleepers_wake_when_their_time_comes_and_not_before() -> None:
    clock, woken = FakeClock(), list[float]()

    async def sleeper(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        for seconds in (3.0, 1.0, 2.0):
            group.create_task(sleeper(seconds))
        await clock.someone_sleeps(3)
        assert list(clock.sleepers) == [1.0, 2.0, 3.0]
        clock.advance(2.5)
        await eventually(lambda: len(woken) == 2, what="two wake")
        assert woken == [1.0, 2.0]
        assert list(clock.sleepers) == [0.5]
        clock.advance(0.5)
    assert woken == [1.0, 2.0, 3.0]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(5))
    await clock.someone_sleeps()
    sleeper.cancel()
    await asyncio.wait([sleeper])
    assert clock.sleepers == ()


async def test_the_wall_clock_may_jump_and_monotonic_time_does_not() -> None:
    clock = FakeClock(100.0)
    before = clock.monotonic()
    clock.advance(5)
    clock.set_wall(50.0)
    assert (clock.now(), clock.monotonic() - before) == (50.0, 5.0)
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    started = time.monotonic()
    await clock.sleep(0)
    assert time.monotonic() - started < 1


def test_a_reserved_port_is_free_and_given_once() -> None:
    ports = [Port() for _ in range(50)]
    try:
        assert len({port.number for port in ports}) == 50
        with socket.socket() as server:
            server.bind(("127.0.0.1", ports[0].number))
    finally:
        for port in ports:
            port.release()
            port.release()


def test_a_missing_tool_says_what_to_install() -> None:
    with pytest.raises(AssertionError, match="apt-get install no-such-program"):
        require_tool("no-such-program")


def test_a_process_that_a_test_leaves_behind_fails_it_and_is_ended(tmp_path: Path) -> None:
    (tmp_path / "test_leaving.py").write_text(LEAVING)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(tmp_path), str(tmp_path)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "the test left processes behind" in done.stdout
    assert "2 passed, 1 error" in done.stdout
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
