"""Subscriptions with a real store behind them, in the test's own process."""

import io
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from replicator.clock import Clock, SystemClock
from replicator.intake.deliveries import Means
from replicator.intake.inlets import open_inlets
from replicator.intake.ports import IntentSink
from replicator.intake.subscriptions import Subscriptions
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.registries import PrimarySettings, ReplicaSettings
from replicator.settings.schema import Log, Rule, Settings, Subscription, Webhooks
from replicator.store.sqlite import SqliteStore
from tests.integration.intake_site import Running
from tests.support.eventually import eventually
from tests.support.nats import NatsServer

SUBJECT = "zot.events"
NAME = "zot"


def subscription(server: NatsServer | str, **more: Any) -> Subscription:
    """Return one to `server`, called zot."""
    url = server if isinstance(server, str) else server.url
    return Subscription.model_validate({"name": NAME, "url": url, "subject": SUBJECT} | more)


def connected(site: Running) -> bool:
    """Say whether events can come, as the metric does."""
    return b'replicator_subscription_connected{endpoint="zot"} 1.0' in site.metrics.exposition("")[0]


def problems(site: Running) -> list[str]:
    """Return what the log says that is wrong."""
    return [line["problem"] for line in site.lines() if line["event"] == "subscription_lost"]


class Reloads:
    """The configuration as a reload would exchange it: with the subscriptions, or without any."""

    def __init__(self) -> None:
        self.without = False
        self._exchanged = anyio.Event()

    def exchanged(self) -> anyio.Event:
        """Return what is set with the next reload."""
        return self._exchanged

    async def reload(self, *, without: bool) -> None:
        """Exchange it, and return once this was heeded."""
        self.without = without
        self._exchanged.set()
        self._exchanged = anyio.Event()
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def subscribed(
    tmp_path: Path,
    *subscriptions: Subscription,
    sink: Callable[[SqliteStore], IntentSink] = lambda store: store,
    clock: Clock | None = None,
    wait: bool = True,
    reloads: Reloads | None = None,
    missed: Callable[[float], None] = lambda _: None,
) -> AsyncIterator[Running]:
    """Run the subscriptions; what comes for team/** is owed to the replica eu. `clock` measures the pauses.

    `missed` is told since when events may have been lost.
    """
    real = SystemClock()
    settings = Settings(
        version=1,
        primary=PrimarySettings(url="https://registry.test"),
        replicas=(ReplicaSettings(name="eu", url="https://eu.test"),),
        rules=(Rule(repositories=("team/**",)),),
        webhooks=Webhooks(subscriptions=subscriptions),
    )
    metrics = Metrics(Scope.of(settings, version="0"), clock=real)
    log = io.StringIO()
    configure_logs(Log(level="debug", format="json"), log, clock=real)
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(tmp_path / "state" / "replicator.db", clock=real, observer=metrics)
        stack.push_async_callback(store.close)
        means = Means(sink=sink(store), router=Router(settings), metrics=metrics, clock=real, missed=missed)
        inlets, now = open_inlets(subscriptions, means), reloads or Reloads()
        runner = Subscriptions(
            lambda: {} if now.without else inlets, now.exchanged, clock=clock or real, rng=random.Random(1)
        )
        site = Running(0, store, metrics, log)
        async with anyio.create_task_group() as group:
            group.start_soon(runner.run)
            if wait:
                await eventually(lambda: connected(site), what=f"connected; the log: {log.getvalue()}")
            yield site
            group.cancel_scope.cancel()
