"""Every expression of every panel and rule has data where a real daemon works, or where it really fails."""

import datetime as dt
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.integration.events import push_event
from tests.integration.site import HOOK_SECRET, Site, run_site
from tests.monitoring.live import Asker, rule_files
from tests.support.arrivals import SECRET, Arrivals, run_arrivals
from tests.support.content import Image, make_blob, make_image, make_index
from tests.support.faults import Answer
from tests.support.images import push
from tests.support.nats import NatsServer, run_nats
from tests.support.ports import Port
from tests.support.prometheus import Prometheus, run_prometheus

UPLOADS = "/blobs/uploads/"
BASE = make_blob("base of all", 300_000)


@dataclass(frozen=True)
class Scene:
    """A site whose replica `eu` is behind a line, the Prometheus that watches it, and what was asked of that."""

    site: Site
    prometheus: Prometheus
    asker: Asker
    nats: NatsServer
    arrivals: Arrivals

    async def push(self, repository: str, tag: str) -> Image:
        """Push an image that shares its big layer with all others."""
        image = make_image(f"{repository} {tag}", [BASE, 20_000])
        await push(self.site.primary.url, repository, tag, image)
        return image

    async def post(self, *events: dict[str, Any], secret: str = HOOK_SECRET) -> int:
        """Post events, as the primary would, and return the answer's status."""
        headers = {"Authorization": f"Bearer {secret}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.site.hook_url, json={"events": list(events)}, headers=headers) as answer,
        ):
            return answer.status

    async def nothing_is_owed(self) -> None:
        await self.prometheus.scraped()
        await self.prometheus.until("sum(replicator_replica_pending_updates) == 0")


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    port = Port()
    try:
        debug = f"127.0.0.1:{port.number}"
        async with (
            run_nats(folder) as nats,
            run_arrivals() as arrivals,
            run_site(
                folder,
                proxied=["eu", "primary"],
                kinds={"primary": "distribution3"},
                debug=debug,
                sections={
                    "objective": {"lag": "1h"},  # nothing is late while nothing fails, however busy the machine
                    "sweep": {"every": "1s", "full_every": "8s"},
                    "verify": {"full_every": "5s"},
                },
            ) as site,
        ):
            site.config["webhooks"]["subscriptions"] = [{"name": "zot", "url": nats.url, "subject": "zot.events"}]
            (folder / "whsec").write_text(SECRET)
            told = {"events": ["replicated"], "secret_file": str(folder / "whsec")}
            site.config["notify"] = [{"name": "deploy", "url": f"{arrivals.url}/deploy", **told}]
            site.daemon.write_config(site.config)
            await site.daemon.reload()
            targets = {"replicator": site.daemon.admin_url.removeprefix("http://"), "registry": debug}
            async with run_prometheus(folder, targets, rules=rule_files(folder)) as prometheus:
                await prometheus.scraped()
                yield Scene(site, prometheus, Asker(prometheus), nats, arrivals)
    finally:
        port.release()


@contextmanager
def locked_store(site: Site) -> Iterator[None]:
    """Keep the daemon from writing to its store."""
    connection = sqlite3.connect(site.config["store"]["url"].removeprefix("sqlite:///"), isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
    finally:
        connection.close()


async def be_busy(here: Scene) -> None:
    """Copy images and an index that share a layer, some into a second repository."""
    for repository in ("team/app", "team/worker"):
        for number in range(3):
            image = await here.push(repository, f"v{number}")
            await here.site.arrived(repository, f"v{number}", image.digest, within=30)
    index = make_index([make_image("part", [BASE, 5_000])])
    await push(here.site.primary.url, "team/multi", "v1", index)
    await here.site.arrived("team/multi", "v1", index.digest, within=30)
    await here.nothing_is_owed()


async def fail_at_the_replica(here: Scene) -> None:
    here.site.config["objective"] = {"lag": "5s"}
    here.site.daemon.write_config(here.site.config)
    assert (await here.site.daemon.reload())["event"] == "config_reloaded"
    line = here.site.lines["eu"]
    line.add(Answer(path=UPLOADS, times=None, status=503))
    await here.push("team/app", "v10")
    await here.asker.until(
        ["replication.json 4", "ReplicatorUpdatesFailing", "ReplicatorLaneOpen", "ReplicatorLagBurns"]
    )
    line.clear()
    line.add(Answer(path=UPLOADS, times=None, status=403))
    await here.asker.until(["ReplicatorUpdatesParked"])
    line.clear()


async def meet_a_conflict(here: Scene) -> None:
    await push(here.site.url("us"), "team/app", "v20", make_image("foreign"))
    await here.push("team/app", "v20")
    await here.asker.until(["ReplicatorConflicts"])


async def meet_stopped_deletes(here: Scene) -> None:
    store = sqlite3.connect(here.site.config["store"]["url"].removeprefix("sqlite:///"))
    with closing(store), store:
        store.execute("INSERT INTO lane (replica, deletes_stopped_since) VALUES ('eu', 1)")
    await here.asker.until(["ReplicatorDeletesStopped"])


async def fail_at_the_door(here: Scene) -> None:
    known = await here.push("team/app", "v11")
    await here.site.arrived("team/app", "v11", known.digest, within=30, on=["us"])
    event = push_event("team/app", "v11", known.digest)
    assert await here.post(event, secret="wrong-canary") == 401
    assert await here.post({"action": "push", "target": {"repository": "team/app"}}) == 200
    late = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=4)).isoformat()
    assert await here.post(*[event | {"timestamp": late}] * 200) == 202
    await here.asker.until(
        ["ReplicatorWebhooksUnauthorized", "ReplicatorWebhooksUnreadable", "ReplicatorWebhooksLate"]
    )
    with locked_store(here.site):
        assert await here.post(event) == 503
    await here.asker.until(["ReplicatorStoreStuck"])
    await here.nats.stop()
    await here.asker.until(["ReplicatorSubscriptionLost"])


async def fail_at_the_receiver(here: Scene) -> None:
    here.arrivals.answers["/deploy"] = lambda: web.Response(status=503)
    image = await here.push("team/app", "v13")
    await here.site.arrived("team/app", "v13", image.digest, within=30, on=["us"])
    await here.asker.until(["ReplicatorNotificationsStuck"])
    here.arrivals.answers["/deploy"] = lambda: web.Response(status=410)
    await here.asker.until(["ReplicatorNotificationsDropped"])


async def lose_content(here: Scene) -> None:
    image = make_image("team/worker v1", [BASE, 20_000])
    here.site.replicas["us"].blob_file(image.layers[1].digest).unlink()
    await here.asker.until(["ReplicatorReplicaDrifted"])


async def be_paused(here: Scene) -> None:
    lane = f"{here.site.daemon.admin_url}/api/v1/lanes/us"
    async with aiohttp.ClientSession(headers={"Content-Type": "application/json"}) as session:
        async with session.post(f"{lane}/pause") as answer:
            assert answer.status == 200
        await here.asker.until(["ReplicatorLanePaused"])
        async with session.post(f"{lane}/resume") as answer:
            assert answer.status == 200


async def fail_to_reload(here: Scene) -> None:
    daemon = here.site.daemon
    daemon.write_config(here.site.config | {"replicas": []})
    assert (await daemon.reload())["event"] == "config_refused"
    await here.asker.until(["ReplicatorReloadFailed"])
    daemon.write_config(here.site.config)
    assert (await daemon.reload())["event"] == "config_reloaded"


async def be_absent(here: Scene) -> None:
    here.site.daemon.kill9()
    await here.push("team/app", "v12")
    await here.asker.until(["ReplicatorAbsent", "RegistryNotificationsStuck"])


@pytest.mark.timeout(240)
async def test_every_panel_and_rule_has_data_when_the_daemon_works_or_when_it_fails(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await be_busy(here)
        await here.asker.until_all_that_need_no_failure()
        before = here.asker.without(failing=True)
        assert await here.asker.ask(failing=True) == before, "nothing fails, so nothing says so"
        here.site.lines["primary"].add(Answer(path="/tags/list", times=None, status=500))

        await fail_at_the_replica(here)
        await meet_a_conflict(here)
        await meet_stopped_deletes(here)
        await fail_at_the_door(here)
        await here.asker.until(["ReplicatorSourceBlind", "replication.json 62"])
        await fail_at_the_receiver(here)
        await lose_content(here)
        await be_paused(here)
        await fail_to_reload(here)
        await be_absent(here)
        assert here.asker.without(failing=True) == []
