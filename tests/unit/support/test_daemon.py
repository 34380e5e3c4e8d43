"""The harness runs the real daemon through several lives and reads what it says of itself."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from tests.support.daemon import Daemon, Scrape, run_daemon
from tests.support.ports import Port

EXPOSITION = """\
# TYPE things counter
things_total{kind="a",where="x"} 3
things_total{kind="b",where="x"} 4
# TYPE level gauge
level 1.5
# TYPE unseen counter
"""


@pytest.fixture
async def hooks() -> AsyncIterator[Port]:
    port = Port()
    yield port
    port.release()


@pytest.fixture(params=[False, True], ids=["started", "forked"])
def preloaded(request: pytest.FixtureRequest) -> bool:
    """Whether the daemon is forked from a process that has imported it: nothing must be different."""
    return bool(request.param)


@pytest.fixture
async def daemon(tmp_path: Path, hooks: Port, *, preloaded: bool) -> AsyncIterator[Daemon]:
    async with run_daemon(tmp_path, _config(hooks), preloaded=preloaded) as running:
        yield running


async def test_it_is_ready_and_tells_its_metrics_and_its_memory(daemon: Daemon) -> None:
    assert daemon.running
    assert daemon.get("/healthz")
    assert daemon.metric("replicator_replica_pending_updates", replica="eu") == 0
    assert 10_000_000 < daemon.rss() < 1_000_000_000
    assert "daemon_started" in {line.get("event") for line in daemon.log_lines()}


async def test_it_ends_on_sigterm_with_code_0_and_lives_again(daemon: Daemon) -> None:
    first = daemon.process.pid
    assert await daemon.restart() == 0
    assert daemon.process.pid != first
    assert daemon.get("/readyz")
    started = [line for line in daemon.log_lines() if line.get("event") == "daemon_started"]
    assert len(started) == 2


async def test_kill9_leaves_no_process_and_the_next_life_finds_the_state(daemon: Daemon) -> None:
    pid = daemon.process.pid
    daemon.process.pause()
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    daemon.kill9()
    assert not psutil.pid_exists(pid)
    assert not daemon.running
    assert daemon.process.exit_code == -9
    await daemon.start()
    assert daemon.get("/readyz")


async def test_a_daemon_that_cannot_start_says_why(tmp_path: Path, hooks: Port, *, preloaded: bool) -> None:
    daemon = Daemon(tmp_path, _config(hooks) | {"surprise": True}, preloaded=preloaded)
    try:
        with pytest.raises(AssertionError, match=r"exit code 2(.|\n)*surprise"):
            await daemon.start()
    finally:
        await daemon.discard()


async def test_environment_and_lines_that_are_not_json(tmp_path: Path, hooks: Port, *, preloaded: bool) -> None:
    config = _config(hooks)
    config["webhooks"]["endpoints"][0]["auth"] = {"bearer_token_env": "HOOK_TOKEN_OF_THE_TEST"}
    assert "HOOK_TOKEN_OF_THE_TEST" not in os.environ
    environ = {"HOOK_TOKEN_OF_THE_TEST": "secret"}
    async with run_daemon(tmp_path, config, environ=environ, preloaded=preloaded) as daemon:
        async with await anyio.open_file(daemon.log, "a") as log:
            await log.write("Traceback\n7\n")
        assert daemon.log_lines()[-2:] == [{"raw": "Traceback"}, {"raw": "7"}]


def test_a_scrape_sums_what_has_the_labels() -> None:
    scrape = Scrape(EXPOSITION)
    assert scrape.value("things_total", kind="a") == 3
    assert scrape.value("things_total", where="x") == 7
    assert scrape.value("things_total", kind="c") == 0
    assert scrape.value("level") == 1.5
    assert scrape.value("unseen_total", kind="a") == 0


def test_a_scrape_refuses_names_and_labels_that_are_not_there() -> None:
    scrape = Scrape(EXPOSITION)
    with pytest.raises(AssertionError, match="no metric missing_total"):
        scrape.value("missing_total")
    with pytest.raises(AssertionError, match="not \\['colour'\\]"):
        scrape.value("things_total", colour="red")


def _config(hooks: Port) -> dict[str, Any]:
    return {
        "version": 1,
        "primary": {"url": "http://127.0.0.1:1"},
        "replicas": [{"name": "eu", "url": "http://127.0.0.1:2"}],
        "webhooks": {
            "listen": f"127.0.0.1:{hooks.number}",
            "endpoints": [{"name": "primary", "path": "/hook", "format": "distribution", "auth": "none"}],
        },
        "sweep": "off",
    }
