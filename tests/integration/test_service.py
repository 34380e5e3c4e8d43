"""What systemd hears of a daemon over a real socket: start, signs of life, lag, reload, drain and stop."""

import contextlib
import http.client
import signal
import socket
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread
import pytest

from tests.integration.site import Site, run_site
from tests.support.daemon import Daemon
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_image, push
from tests.support.service_manager import ServiceManager, listening_manager

_MIB = 1024 * 1024


@contextlib.asynccontextmanager
async def _served(
    folder: Path, *, watchdog: float | None = None, abstract: bool = False, **more: Any
) -> AsyncIterator[tuple[Site, ServiceManager]]:
    """Run a site whose daemon a service manager has started."""
    with listening_manager(folder, abstract=abstract) as manager:
        environ = {"NOTIFY_SOCKET": manager.address}
        if watchdog is not None:
            environ["WATCHDOG_USEC"] = str(int(watchdog * 1e6))
        async with run_site(folder, replicas=("eu",), environ=environ, **more) as site:
            yield site, manager


async def test_ready_is_said_once_when_everything_is_open(tmp_path: Path) -> None:
    with listening_manager(tmp_path) as manager:
        async with run_site(
            tmp_path, replicas=("eu",), environ={"NOTIFY_SOCKET": manager.address}, running=False
        ) as site:
            site.daemon.launch()
            await manager.hears("READY", "1")
            assert site.daemon.get("/readyz")
            hooks = urlsplit(site.hook_url)
            with contextlib.closing(http.client.HTTPConnection(hooks.netloc, timeout=5)) as connection:
                connection.request("GET", hooks.path)
                assert connection.getresponse().status == 405
            assert manager.said[0]["READY"] == "1"
            assert manager.said[0]["STATUS"] == "running"
            assert "WATCHDOG" not in str(manager.said)


async def test_a_daemon_that_cannot_start_never_says_ready(tmp_path: Path) -> None:
    with listening_manager(tmp_path) as manager, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = {
            "version": 1,
            "primary": {"url": "http://127.0.0.1:1"},
            "replicas": [{"name": "eu", "url": "http://127.0.0.1:2"}],
            "webhooks": {"listen": f"127.0.0.1:{taken.getsockname()[1]}"},
        }
        daemon = Daemon(tmp_path, config, environ={"NOTIFY_SOCKET": manager.address}, preloaded=True)
        try:
            daemon.launch()
            assert await anyio.to_thread.run_sync(daemon.process.wait, 60.0) == 2
            assert manager.said == []
        finally:
            await daemon.discard()


async def test_the_status_tells_lag_and_what_is_owed(tmp_path: Path) -> None:
    image = make_image("image")
    async with _served(tmp_path, abstract=True) as (site, manager):
        await eventually(lambda: manager.status == "eu is up to date", what="nothing is owed")
        await site.replicas["eu"].stop()
        await push(site.primary.url, "team/app", "v1", image)
        await eventually(lambda: "1 owed, eu lags" in manager.status, what="the lag is told")


async def test_signs_of_life_need_the_store_too(tmp_path: Path) -> None:
    """Whoever holds the database's lock for ever has stopped the daemon's work, though it answers."""
    async with _served(tmp_path, watchdog=1.0) as (site, manager):
        began, before = time.monotonic(), len(manager.heard("WATCHDOG"))
        await manager.hears("WATCHDOG", "1", times=before + 5)
        assert 1.5 < time.monotonic() - began < 10, "one each half second"
        database = site.daemon.log.parent / "state" / "replicator.db"
        with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as intruder:
            intruder.execute("BEGIN IMMEDIATE")
            before = len(manager.heard("WATCHDOG"))
            statuses = len(manager.heard("STATUS"))
            await manager.hears("STATUS", times=statuses + 1)
            assert len(manager.heard("WATCHDOG")) <= before + 1
            intruder.execute("ROLLBACK")
        await manager.hears("WATCHDOG", "1", times=before + 3)


async def test_a_reload_is_announced_with_the_time_and_ended_whatever_comes_of_it(tmp_path: Path) -> None:
    async with _served(tmp_path) as (site, manager):
        before = time.monotonic_ns() // 1000
        site.daemon.write_config(site.config | {"objective": {"lag": "1m"}})
        await site.daemon.reload()
        await manager.hears("READY", "1", times=2)
        (reloading,) = manager.heard("RELOADING")
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        order = [name for one in manager.said for name in one if name in {"READY", "RELOADING"}]
        assert order == ["READY", "RELOADING", "READY"]
        site.daemon.write_config(site.config | {"objective": {"lag": "soon"}})
        await site.daemon.reload()
        await manager.hears("READY", "1", times=3)
        assert "1 mistake" in manager.heard("READY")[-1]["STATUS"]
        await eventually(lambda: "up to date" in manager.status, what="the status goes on")
        assert "1 mistake" in manager.status, "for as long as the file is wrong"
        site.daemon.write_config(site.config)
        await site.daemon.reload()
        await manager.hears("READY", "1", times=4)
        assert "mistake" not in manager.status


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_drain_is_announced_and_asks_for_its_time(tmp_path: Path, signals: int) -> None:
    image = make_image("in flight", (8 * _MIB,))
    grace = {"shutdown": {"grace": "1m"}}  # ended by what is finished, or by the second signal
    async with _served(tmp_path, proxied=("eu",), watchdog=1.0, sections=grace) as (site, manager):
        site.lines["eu"].link.rate_up = 0.25 * _MIB
        await push(site.primary.url, "team/app", "v1", image)
        await eventually(lambda: site.lines["eu"].sent("upload") > _MIB / 8, what="the layer is on its way")
        site.daemon.process.terminate()
        await manager.hears("STOPPING", "1")
        await manager.hears("EXTEND_TIMEOUT_USEC")
        alive = len(manager.heard("WATCHDOG"))
        assert int(manager.heard("EXTEND_TIMEOUT_USEC")[-1]["EXTEND_TIMEOUT_USEC"]) == 30_000_000
        assert "draining" in manager.status
        await manager.hears("WATCHDOG", times=alive + 2)
        if signals == 2:
            site.daemon.process.signal(signal.SIGTERM)
        else:
            site.lines["eu"].link.rate_up = None
        assert await anyio.to_thread.run_sync(site.daemon.process.wait, 50.0) == 0
        if signals == 1:
            await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)
