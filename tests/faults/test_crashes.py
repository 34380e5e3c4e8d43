"""kill -9 of the real daemon at chosen points, a store that is damaged or gone, two daemons, clocks that jump.

Numbers are those of docs/faults.md.
"""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tests.integration.events import post_push
from tests.integration.site import HOOK_PATH, Site, arrival, daemon_config, run_site
from tests.integration.test_store_durability import sender, stored
from tests.support.altered import clock, death, leap
from tests.support.daemon import Daemon
from tests.support.eventually import eventually
from tests.support.faults import Hold
from tests.support.images import fetch_closure, make_image, push, tag_digest
from tests.support.ports import Port
from tests.support.processes import require_tool
from tests.support.proxy import run_proxy

_ALTERED = (sys.executable, "-m", "tests.support.altered")
_TEAM = "team/app"
_IMAGE = make_image("crash", (200_000, 5_000))
_ROOT = Path(__file__).parents[2]


def _owed(site: Site) -> float:
    return site.daemon.metric("replicator_replica_pending_updates")


@asynccontextmanager
async def _dying(folder: Path, moment: str, module: str, name: str, **more: Any) -> AsyncIterator[Site]:
    """Run a site whose daemon dies once at that point, with a replica behind a line."""
    environ = death(moment, module, name, folder / "died")
    async with run_site(folder, replicas=("eu",), proxied=("eu",), program=_ALTERED, environ=environ, **more) as site:
        yield site


async def _died(site: Site, folder: Path) -> None:
    await eventually(lambda: (folder / "died").exists() and not site.daemon.running, what="it has killed itself")
    assert site.daemon.process.exit_code == -9


def _puts(site: Site) -> int:
    """Return how often a tag was put (v1 and the like); what only proves something has other names."""
    return sum(1 for one in site.lines["eu"].requests if one.method == "PUT" and "/manifests/v" in one.target)


async def test_f01_killed_before_the_commit_of_a_webhook_the_registry_resends(tmp_path: Path) -> None:
    """Nothing was answered, so the primary delivers again to the next life."""
    async with _dying(tmp_path, "after", "replicator.store.changes", "_noted") as site:
        await push(site.primary.url, _TEAM, "v1", _IMAGE)
        await _died(site, tmp_path)
        assert site.daemon.events("webhook_accepted") == []
        assert await stored(tmp_path / "state/replicator.db") == set(), "nothing of it was kept"
        await site.daemon.start()
        await site.arrived(_TEAM, "v1", _IMAGE.digest, within=20)
        await fetch_closure(site.url("eu"), _TEAM, "v1", deep=True)


async def test_f02_killed_after_the_commit_and_before_the_answer_the_duplicate_is_coalesced(tmp_path: Path) -> None:
    async with _dying(tmp_path, "after", "replicator.intake.deliveries", "Deliveries.take") as site:
        await push(site.primary.url, _TEAM, "v1", _IMAGE)
        await _died(site, tmp_path)
        assert await stored(tmp_path / "state/replicator.db") <= {"v1"}
        await site.daemon.start()
        await site.arrived(_TEAM, "v1", _IMAGE.digest, within=20)

        def delivered() -> bool:
            return site.daemon.metric("replicator_webhook_events_total", endpoint="primary") > 0

        await eventually(delivered, within=20, what="it was delivered again")
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")
        assert _puts(site) == 1, "no second copy"
        assert site.lines["eu"].sent("upload") == sum(blob.size for blob in _IMAGE.blobs())


async def test_f03_killed_between_blobs_and_manifest_no_blob_is_sent_again(tmp_path: Path) -> None:
    async with _dying(tmp_path, "before", "replicator.registry.manifests", "Manifests.write") as site:
        await push(site.primary.url, _TEAM, "v1", _IMAGE)
        await _died(site, tmp_path)
        sent = site.lines["eu"].sent("upload")
        assert sent >= sum(blob.size for blob in _IMAGE.blobs())
        assert await tag_digest(site.url("eu"), _TEAM, "v1") is None
        await site.daemon.start()
        await site.arrived(_TEAM, "v1", _IMAGE.digest, within=20)
        assert site.lines["eu"].sent("upload") == sent
        await fetch_closure(site.url("eu"), _TEAM, "v1", deep=True)


async def test_f04_killed_after_the_put_of_the_tag_it_is_found_and_not_put_again(tmp_path: Path) -> None:
    async with _dying(tmp_path, "before", "replicator.store.sqlite", "SqliteStore.settle") as site:
        await push(site.primary.url, _TEAM, "v1", _IMAGE)
        await _died(site, tmp_path)
        assert await tag_digest(site.url("eu"), _TEAM, "v1") == _IMAGE.digest
        assert "v1" in await stored(tmp_path / "state/replicator.db"), "it is owed still"
        await site.daemon.start()
        await eventually(lambda: _owed(site) == 0, within=20, what="nothing is owed")
        assert _puts(site) == 1
        assert site.lines["eu"].sent("upload") == sum(blob.size for blob in _IMAGE.blobs())


_PROVE = pytest.mark.prove


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("replicator.db", 2),
        ("replicator.db-wal", 5),
        *(pytest.param("replicator.db", write, marks=_PROVE) for write in (1, 4, 9)),
        *(pytest.param("replicator.db-wal", write, marks=_PROVE) for write in (1, 9, 20, 60)),
    ],
)
async def test_f05_killed_in_a_checkpoint_or_migration_nothing_acknowledged_is_lost(
    tmp_path: Path, file: str, write: int
) -> None:
    """A write to the database itself is a checkpoint's; the first ones to the log are the migrations'."""
    database = tmp_path / "state" / "replicator.db"
    command = sender(database, "t", 4, 50)
    inject = f"inject=pwrite64:signal=SIGKILL:when={write}"
    strace = [require_tool("strace"), "-f", "-qq", "-o", os.devnull, "-P", str(database.parent / file)]
    killed = await anyio.run_process([*strace, "-e", inject, *command], cwd=_ROOT, check=False)
    assert killed.returncode != 0, "it was killed at that write"
    acknowledged = {line.split()[1] for line in killed.stdout.decode().splitlines() if line.startswith("ack ")}
    assert acknowledged <= await stored(database), "nothing acknowledged is lost"
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_f10_a_damaged_store_ends_the_start_and_a_new_one_is_filled_from_what_is_there(tmp_path: Path) -> None:
    """There is no order to rebuild: without the file the daemon makes an empty store, and a sweep fills it."""
    sections = {"sweep": {"every": "1h"}}
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), sections=sections) as site:
        await push(site.primary.url, _TEAM, "v1", _IMAGE)
        await site.arrived(_TEAM, "v1", _IMAGE.digest)
        await site.daemon.terminate()
        database = tmp_path / "state" / "replicator.db"
        whole = database.read_bytes()
        damaged = b"canary" * 700 + whole[4_200:]
        database.write_bytes(damaged)
        site.daemon.launch()
        assert await to_thread.run_sync(site.daemon.process.wait, 30.0) != 0
        assert str(database) in site.daemon.process.tail()
        assert database.read_bytes() == damaged, "nothing is written over it"
        sent = site.lines["eu"].sent("upload")
        for path in database.parent.glob("replicator.db*"):
            path.unlink()
        await site.daemon.start()

        await eventually(lambda: site.daemon.events("sweep_found"), within=20, what="the primary was compared")
        await eventually(lambda: _owed(site) == 0, within=20, what="nothing is owed")
        assert site.lines["eu"].sent("upload") == sent, "what is there is not sent again"


async def test_f13_a_wall_clock_that_jumps_breaks_no_lease_and_no_lag(tmp_path: Path) -> None:
    file = tmp_path / "ahead"
    environ = clock(file)
    images = [make_image(f"jump {number}", (600_000,)) for number in range(3)]
    async with run_site(
        tmp_path, replicas=("eu",), proxied=("eu",), program=_ALTERED, environ=environ, fast=True
    ) as site:
        line = site.lines["eu"]
        for number, (image, ahead) in enumerate(zip(images, (3600, -3600, 0), strict=True)):
            line.link.rate_up = 2_000_000.0
            before = line.sent("upload")
            await push(site.primary.url, _TEAM, f"v{number}", image)

            def streams(before: int = before) -> bool:
                return line.sent("upload") > before

            await eventually(streams, what="the layer is on its way")
            leap(file, ahead)
            await site.arrived(_TEAM, f"v{number}", image.digest)
            await eventually(lambda: _owed(site) == 0, what="nothing is owed")
        assert _puts(site) == len(images), "no lease was taken over, nothing was done twice"
        metrics = site.daemon.metrics()
        assert metrics.value("replicator_replica_synced_through_timestamp_seconds", replica="eu") > 0
        assert metrics.value("replicator_delivery_delay_seconds_sum") >= 0
        assert site.daemon.events("reference_failed") == []


async def test_f15_a_second_daemon_on_the_same_state_is_refused(tmp_path: Path) -> None:
    async with run_site(tmp_path, replicas=("eu",)) as site:
        other = tmp_path / "other"
        other.mkdir()
        hooks = Port()
        config: Mapping[str, Any] = site.config | {
            "webhooks": site.config["webhooks"] | {"listen": f"127.0.0.1:{hooks.number}"}
        }
        second = Daemon(other, config, preloaded=True)
        second.launch()
        assert await to_thread.run_sync(second.process.wait, 30.0) == 1
        assert str(site.daemon.process.pid) in second.process.tail(), "it is told who has it"
        await second.discard()
        hooks.release()
        await push(site.primary.url, _TEAM, "v1", _IMAGE)
        await site.arrived(_TEAM, "v1", _IMAGE.digest)


_DOUBT = 3600.0
"""Seconds that the wall clock leaps: longer than a late put is waited for."""


@pytest.mark.prove
async def test_f16_of_two_daemons_that_write_one_replica_the_newest_push_wins(tmp_path: Path) -> None:
    """Each has a store of its own. The put of one that died lands after the other's: its next life mends that."""
    old, new, other = make_image("old"), make_image("new"), make_image("other")
    (tmp_path / "zombie").mkdir()
    ahead = tmp_path / "ahead"
    environ = clock(ahead)
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(run_site(tmp_path, replicas=("eu",), notifies=False))
        line = await stack.enter_async_context(run_proxy(site.url("eu")))
        hooks = Port()
        stack.callback(hooks.release)
        config = daemon_config(tmp_path / "zombie", site.primary.url, {"eu": line.url}, hooks=hooks)
        zombie = Daemon(tmp_path / "zombie", config, environ=environ, program=_ALTERED)
        stack.push_async_callback(zombie.discard)
        await zombie.start()
        hook_url = f"http://127.0.0.1:{hooks.number}{HOOK_PATH}"

        await push(site.primary.url, _TEAM, "v1", old)
        may_land = asyncio.Event()
        late = line.add(Hold(method="PUT", path="/manifests/v1", until=may_land))
        assert await post_push(hook_url, _TEAM, "v1", old.digest) == 202
        await eventually(lambda: late.acted, what="the old tag is on its way to the replica")
        zombie.kill9()
        await push(site.primary.url, _TEAM, "v1", new)
        assert await post_push(site.hook_url, _TEAM, "v1", new.digest) == 202
        await site.arrived(_TEAM, "v1", new.digest)
        may_land.set()
        await arrival(site.url("eu"), _TEAM, "v1", old.digest, where="the replica, by the late put")

        line.clear()
        await zombie.start()
        await push(site.primary.url, _TEAM, "other", other)
        assert await post_push(hook_url, _TEAM, "other", other.digest) == 202
        await site.arrived(_TEAM, "other", other.digest)
        leap(ahead, _DOUBT)
        assert await post_push(hook_url, _TEAM, "other", other.digest) == 202
        await site.arrived(_TEAM, "v1", new.digest, within=30)
        await fetch_closure(site.url("eu"), _TEAM, "v1", deep=True)
