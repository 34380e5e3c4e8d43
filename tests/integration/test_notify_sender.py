"""A sender over the real store and real HTTP, on a clock that the test moves."""

import contextlib
import random
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest
import trustme
from aiohttp import web
from prometheus_client import CollectorRegistry
from yarl import URL

from replicator.model import Digest, Intent, IntentKey, Priority, Repository, Tag
from replicator.news import Audience, Happening, Place
from replicator.notify import notifications
from replicator.notify.notifications import Addressed, Notifications
from replicator.notify.receivers import Receiver
from replicator.notify.sender import Means
from replicator.observability.metrics import Metrics
from replicator.observability.scope import Scope
from replicator.proxies import DIRECT, Proxies, Proxy
from replicator.settings.secrets import Secret
from replicator.store.outbox import Outbox
from replicator.store.outcome import Done, Result
from replicator.store.sqlite import SqliteStore
from tests.support.arrivals import KEY, SECRET, Arrivals, run_arrivals
from tests.support.daemon import Scrape
from tests.support.eventually import eventually
from tests.support.fake_clock import FakeClock
from tests.support.forward_proxy import run_forward_proxy

A = Digest.of(b"a")


@dataclass
class Scene:
    """A store that posts to two receivers, `one` and `two`, and what runs their senders."""

    store: SqliteStore
    outbox: Outbox
    clock: FakeClock
    arrivals: Arrivals
    metrics: Metrics
    addressed: Addressed
    exchanged: anyio.Event

    async def arrive(self, *tags: str) -> None:
        """Settle these tags as copied."""
        now = self.clock.now()
        for tag in tags:
            key = IntentKey("eu", Repository("team/app"), Tag(tag))
            await self.store.record([Intent(key=key, digest=A, since=now, due_at=now, priority=Priority.NORMAL)])
            (lease,) = await self.store.lease("eu", 1, 60)
            await self.store.settle(lease, Done(result=Result.COPIED, digest=A))

    def tags(self, path: str) -> list[str]:
        """Return what was told at a path, in order."""
        return [one.data["reference"] for one in self.arrivals.at(path)]

    def count(self, receiver: str, result: str) -> float:
        """Return how often something of that result was counted."""
        text = self.metrics.exposition("text/plain")[0].decode()
        return Scrape(text).value("replicator_notifications_total", receiver=receiver, result=result)

    async def nothing_waits(self) -> None:
        """Return when all messages were delivered or dropped."""

        async def empty() -> bool:
            return await self.outbox.waiting() == {}

        await eventually(empty, what="nothing waits any more")

    @contextlib.asynccontextmanager
    async def sending(self) -> AsyncIterator[Notifications]:
        """Run the senders for a block."""
        means = Means(outbox=self.outbox, clock=self.clock, rng=random.Random(7))
        senders = Notifications(lambda: self.addressed, lambda: self.exchanged, means)
        await senders.prepare()
        async with anyio.create_task_group() as group:
            group.start_soon(senders.run)
            yield senders
            group.cancel_scope.cancel()


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = FakeClock()
    store = await SqliteStore.open(tmp_path / "state" / "replicator.db", clock=clock)
    try:
        async with run_arrivals() as arrivals:
            names = ("one", "two")
            metrics = Metrics(Scope(replicas=("eu",), receivers=names), clock=clock, registry=CollectorRegistry())
            audience = Audience(receivers={Happening.REPLICATED: names}, replicas={"eu": Place()})
            receivers = [_receiver(name, f"{arrivals.url}/{name}") for name in names]
            addressed = Addressed(receivers=receivers, audience=audience, counts=metrics.notifications)
            yield Scene(store, Outbox(store), clock, arrivals, metrics, addressed, anyio.Event())
    finally:
        await store.close()


def _receiver(name: str, url: str, tls: ssl.SSLContext | None = None) -> Receiver:
    return Receiver(
        name=name,
        url=URL(url),
        secrets=(Secret.of_text(SECRET),),
        tls=tls or ssl.create_default_context(),
        proxies=DIRECT,
    )


async def test_a_message_goes_out_when_it_is_posted_without_any_time_passing(scene: Scene) -> None:
    async with scene.sending():
        await eventually(lambda: len(scene.clock.sleepers) >= 3, what="the senders have nothing to do")
        await scene.arrive("v1")
        await eventually(lambda: scene.tags("/one") == scene.tags("/two") == ["v1"], what="both are told")
        await scene.nothing_waits()
        assert (scene.count("one", "delivered"), scene.count("two", "delivered")) == (1, 1)


async def test_who_hangs_gets_four_at_a_time_and_delays_nobody(scene: Scene) -> None:
    hanging = _receiver("one", f"{scene.arrivals.url}/hangs")
    scene.addressed = replace(scene.addressed, receivers=[hanging, scene.addressed.receivers[1]])
    tags = [f"v{number}" for number in range(12)]
    async with scene.sending():
        await scene.arrive(*tags)
        await eventually(lambda: sorted(scene.tags("/two")) == sorted(tags), what="the other is told all")
        await eventually(lambda: scene.arrivals.hanging >= 4, what="four hang")
        assert scene.arrivals.hanging == 4
    assert (await scene.outbox.waiting())["one"].count == 12


async def test_a_receiver_that_asks_for_a_pause_gets_it(scene: Scene) -> None:
    scene.arrivals.answers["/one"] = lambda: web.Response(status=429, headers={"Retry-After": "120"})
    async with scene.sending():
        await scene.arrive("v1")
        await eventually(lambda: scene.count("one", "failed"), what="it is asked to wait")
        del scene.arrivals.answers["/one"]
        await scene.arrive("v2")
        await eventually(lambda: sorted(scene.tags("/two")) == ["v1", "v2"], what="the other is told")
        scene.clock.advance(119)
        assert scene.tags("/one") == ["v1"]
        await eventually(lambda: len(scene.clock.sleepers) >= 3, what="they sleep again")
        assert scene.tags("/one") == ["v1"]
        scene.clock.advance(2)
        await eventually(lambda: sorted(scene.tags("/one")) == ["v1", "v1", "v2"], what="both are sent")


async def test_when_it_answers_again_all_that_failed_goes_at_once(scene: Scene) -> None:
    scene.arrivals.answers["/one"] = lambda: web.Response(status=400)
    async with scene.sending():
        await scene.arrive("v1", "v2", "v3")
        await eventually(lambda: scene.count("one", "failed") == 3, what="they are refused, one by one")

        async def put_off() -> bool:
            waiting = await scene.outbox.first("one", 9)
            return all(one.attempts for one in waiting)

        await eventually(put_off, what="they are due later")
        for message in await scene.outbox.first("one", 9):
            await scene.outbox.again(message.number, scene.clock.now() + 900)
        scene.arrivals.answers["/one"] = lambda: web.Response(status=500)
        await scene.arrive("v4")
        await eventually(lambda: scene.count("one", "failed") == 4, what="it is down")
        scene.arrivals.answers.clear()
        await eventually(lambda: len(scene.clock.sleepers) >= 3, what="nothing is under way")
        scene.clock.advance(2)
        await scene.nothing_waits()
    assert sorted(scene.tags("/one")) == sorted(["v1", "v2", "v3", "v4"] * 2)


async def test_a_sender_begins_with_what_failed_before(scene: Scene) -> None:
    await scene.outbox.address(scene.addressed.audience)
    await scene.arrive("v1")
    (message,) = await scene.outbox.first("one", 1)
    await scene.outbox.again(message.number, scene.clock.now() + 900)
    async with scene.sending():
        await scene.nothing_waits()
    assert scene.tags("/one") == ["v1"]


@pytest.mark.parametrize("works", [True, False], ids=["passes on", "is down"])
async def test_it_goes_through_a_proxy(scene: Scene, works: bool) -> None:
    async with run_forward_proxy() as proxy:
        proxy.hosts["deploy.example.com:80"] = scene.arrivals.url.removeprefix("http://")
        host, _, port = proxy.url.removeprefix("http://").partition(":")
        if not works:
            port = "1"
        through = Proxies(by_scheme={"http": Proxy(scheme="http", host=host, port=int(port), named_by="proxy:")})
        receiver = replace(_receiver("one", "http://deploy.example.com/one"), proxies=through)
        scene.addressed = replace(scene.addressed, receivers=[receiver])
        async with scene.sending():
            await scene.arrive("v1")
            result = "delivered" if works else "failed"
            await eventually(lambda: scene.count("one", result), what=f"it is counted as {result}")
        assert proxy.plain == (["http://deploy.example.com/one"] if works else [])
        assert scene.tags("/one") == (["v1"] if works else [])


async def test_a_key_that_cannot_be_read_is_no_message_unsigned(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "whsec"
    receiver = replace(_receiver("one", f"{scene.arrivals.url}/one"), secrets=(Secret.of_file(file),))
    scene.addressed = replace(scene.addressed, receivers=[receiver])
    async with scene.sending():
        await scene.arrive("v1")
        await eventually(lambda: scene.count("one", "failed"), what="it fails")
        assert scene.arrivals.all == []
        file.write_text(SECRET)

        async def delivered() -> bool:
            scene.clock.advance(1)
            return scene.count("one", "delivered") == 1

        await eventually(delivered, what="it is delivered with the file")
    assert scene.arrivals.all[0].signed_by == (KEY,)


async def test_one_that_is_refused_for_a_day_is_dropped(scene: Scene) -> None:
    scene.arrivals.answers["/one"] = lambda: web.Response(status=404)
    async with scene.sending():
        await scene.arrive("v1")
        await eventually(lambda: scene.count("one", "failed"), what="it fails")
        scene.clock.advance(86_400)
        await scene.nothing_waits()
        assert scene.count("one", "expired") == 1


async def test_no_more_than_some_wait_and_the_oldest_are_dropped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications, "MOST_WAITING", 3)
    scene.arrivals.answers["/one"] = lambda: web.Response(status=429, headers={"Retry-After": "900"})
    async with scene.sending():
        await eventually(lambda: len(scene.clock.sleepers) >= 3, what="the senders have nothing to do")
        await scene.arrive(*[f"v{number}" for number in range(5)])
        await eventually(lambda: scene.count("two", "delivered") == 5, what="the other is told all")
        scene.clock.advance(5)
        await eventually(lambda: scene.count("one", "overflow") == 2, what="two are dropped")
        text = scene.metrics.exposition("text/plain")[0].decode()
        assert Scrape(text).value("replicator_notifications_pending", receiver="one") in {3, 5}
    assert (await scene.outbox.waiting())["one"].count == 3


async def test_a_reload_ends_the_senders_before_others_begin(scene: Scene) -> None:
    hanging = _receiver("one", f"{scene.arrivals.url}/hangs")
    scene.addressed = replace(scene.addressed, receivers=[hanging])
    async with scene.sending():
        await scene.arrive("v1")
        await eventually(lambda: scene.arrivals.hanging, what="it is on its way")
        audience = Audience(receivers={Happening.REPLICATED: ("one",)}, replicas={"eu": Place()})
        scene.addressed = replace(
            scene.addressed, receivers=[_receiver("one", f"{scene.arrivals.url}/new")], audience=audience
        )
        before, scene.exchanged = scene.exchanged, anyio.Event()
        before.set()
        await eventually(lambda: scene.tags("/new") == ["v1"], what="the new sender sends what was under way")
        assert {one.id for one in scene.arrivals.all} == {scene.arrivals.all[0].id}
        await scene.nothing_waits()  # what waited for the other is dropped
        assert scene.count("one", "delivered") == 1


async def test_a_certificate_counts_only_where_it_is_trusted(scene: Scene) -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with run_arrivals(server) as secure:
        url = secure.url.replace("http://127.0.0.1", "https://localhost")
        scene.addressed = replace(
            scene.addressed,
            receivers=[_receiver("one", f"{url}/one", trusting), _receiver("two", f"{url}/two")],
        )
        async with scene.sending():
            await scene.arrive("v1")
            await eventually(lambda: scene.count("one", "delivered"), what="it is delivered where it is trusted")
            await eventually(lambda: scene.count("two", "failed"), what="it fails where it is not")
        assert [(one.path, one.signed_by) for one in secure.all] == [("/one", (KEY,))]
