"""`sync` does what `plan` says, byte for byte, and goes on where it was interrupted."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from replicator.clock import SystemClock
from replicator.model import Change, ChangeKind, Repository, Tag
from replicator.routing import Router
from replicator.settings.load import load
from replicator.store.sqlite import SqliteStore
from tests.integration.commands import command, finished, started
from tests.integration.site import Site, run_site
from tests.integration.sync_scene import OTHER, SHARED, TAGS, WEB, fill_partly, fill_primary
from tests.support.content import closure_of, make_image
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, push
from tests.support.registries import Kind


async def synced(site: Site, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Run a sync, which must end with `code`, and return what became of each replica."""
    result = await command(site, "sync", *arguments, "--json")
    assert result.exit_code == code, result.output
    return {one["replica"]: one for one in json.loads(result.stdout)["replicas"]}


async def planned(site: Site) -> dict[str, dict[str, Any]]:
    result = await command(site, "plan", "--json")
    assert result.exit_code == 0, result.output
    return {one["name"]: one for one in json.loads(result.stdout)["replicas"]}


async def is_equal(site: Site, replica: str) -> bool:
    for repository, tag, image in TAGS:
        found = await fetch_closure(site.url(replica), repository, tag)
        if found.digests != closure_of(image):
            return False
    return True


def lose_tag(site: Site, replica: str, repository: str, tag: str) -> None:
    """Take a tag from a replica behind the back of everybody."""
    root = site.replicas[replica].root / "docker/registry/v2/repositories"
    shutil.rmtree(root / repository / "_manifests/tags" / tag)


async def owe(site: Site, repository: str, tag: str) -> None:
    """Make a tag owed to all replicas, as its webhook would."""
    settings = load(site.daemon.config, {})
    change = Change(
        kind=ChangeKind.PUSH, repository=Repository(repository), reference=Tag(tag), digest=None, happened_at=None
    )
    store = await SqliteStore.open(settings.store.sqlite_path, clock=SystemClock())
    await store.record(Router(settings).route(change, SystemClock().now()))
    await store.close()


async def test_a_sync_sends_the_bytes_that_the_plan_said_and_leaves_nothing_to_do(tmp_path: Path) -> None:
    async with run_site(tmp_path, running=False, notifies=False, proxied=("eu", "us")) as site:
        await fill_primary(site)
        await fill_partly(site.url("eu"))
        plan = await planned(site)
        done = await synced(site)
        for name in ("eu", "us"):
            forecast = plan[name]["send"]["bytes"]
            assert done[name]["bytes_sent"] == pytest.approx(forecast, rel=0.01)
            assert site.lines[name].sent("upload") == pytest.approx(forecast, rel=0.01)
            assert done[name]["bytes_to_send"] == forecast
            assert done[name]["bytes_mounted"] == plan[name]["mount"]["bytes"] == SHARED.size
            assert (done[name]["complete"], done[name]["failed"], done[name]["problem"]) == (True, 0, "")
            assert await is_equal(site, name)
        assert (done["eu"]["put"], done["us"]["put"]) == (3, 4)
        for one in (await planned(site)).values():
            assert (one["references"]["new"], one["references"]["different"]) == (0, 0)
        await push(site.primary.url, "team/web", "unwanted", OTHER)
        await owe(site, "team/web", "unwanted")
        assert (await command(site, "ignore", "team/web:unwanted")).exit_code == 0
        assert {one["references"]["new"] for one in (await planned(site)).values()} == {0}
        again = await synced(site)
        assert {(one["found"], one["bytes_sent"]) for one in again.values()} == {(0, 0)}


async def test_a_running_daemon_is_asked_and_followed(tmp_path: Path) -> None:
    async with run_site(tmp_path, notifies=False) as site:
        await fill_primary(site)
        assert {one["put"] for one in (await synced(site, "team/web")).values()} == {1}
        # What the store believes to be there, and is not any more, is brought back, too.
        lose_tag(site, "eu", "team/web", "latest")
        done = await synced(site)
        assert {name: (one["found"], one["put"], one["complete"]) for name, one in done.items()} == {
            "eu": (4, 4, True),
            "us": (3, 3, True),
        }
        assert await is_equal(site, "eu")
        assert await is_equal(site, "us")
        assert {line["delivery"] for line in site.daemon.events("admin_sync")} >= {
            line["delivery"] for line in site.daemon.events("reference_replicated")
        }
        result = await command(site, "sync", "team/none")
        assert (result.exit_code, "team/none: the primary has no such repository" in result.output) == (2, True)
        assert (await command(site, "sync", "team/{x}")).exit_code == 2
        for one in (await planned(site)).values():
            assert (one["references"]["new"], one["references"]["different"]) == (0, 0), "plan works beside it"
        assert (await command(site, "pause", "us")).exit_code == 0
        assert "replicator resume us" in (await synced(site, code=1))["us"]["problem"]


async def test_an_interrupted_sync_is_gone_on_with_and_a_dead_replica_holds_nobody_up(tmp_path: Path) -> None:
    async with run_site(tmp_path, running=False, notifies=False, proxied=("primary", "eu")) as site:
        await fill_primary(site)
        await site.replicas["us"].stop()
        site.lines["primary"].link.rate_down = 10_000
        process = started(site, "sync", "--json")
        await eventually(lambda: site.lines["eu"].sent("upload") > 50_000, within=90, what="bytes are on their way")
        process.send_signal(signal.SIGINT)
        code, out, err = await finished(process)
        assert (code, json.loads(out)["ended"]) == (1, False), err
        site.lines["primary"].link.rate_down = None
        done = await synced(site, code=1)
        assert done["eu"]["complete"]
        assert not done["us"]["complete"]
        assert "us" in done["us"]["problem"]
        assert await is_equal(site, "eu")
        await site.replicas["us"].start()
        mended = await synced(site, "team/web")
        assert (mended["us"]["put"], mended["eu"]["found"]) == (1, 0)
        assert (await fetch_closure(site.url("us"), "team/web", "latest")).digests == closure_of(WEB)


@pytest.mark.prove
async def test_a_large_upload_that_was_interrupted_goes_on_where_it_stopped(tmp_path: Path) -> None:
    kinds: dict[str, Kind] = {"eu": "distribution3"}
    size = 24 * 1024 * 1024
    async with run_site(
        tmp_path, running=False, notifies=False, replicas=("eu",), kinds=kinds, proxied=("eu",)
    ) as site:
        image = make_image("large", [size])
        await push(site.primary.url, "team/app", "v1", image)
        line = site.lines["eu"]
        line.link.rate_up = 1_500_000
        process = started(site, "sync", "--json")
        await eventually(lambda: line.sent("upload") > size / 2, within=120, what="half of it is there")
        process.send_signal(signal.SIGINT)
        code, _, err = await finished(process)
        assert code == 1, err
        line.link.rate_up = None
        done = await synced(site)
        assert done["eu"]["bytes_sent"] < size * 0.6
        assert line.sent("upload") < size * 1.1
        assert (await fetch_closure(site.url("eu"), "team/app", "v1", deep=True)).digests == closure_of(image)
