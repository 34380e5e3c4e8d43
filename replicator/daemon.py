"""Puts the daemon together: opens the parts in order, runs them in one task group, and shuts down in order.

Open: store, registries, lanes, admin listener, webhook listener. On SIGTERM or SIGINT: no new leases, copies in
flight get the grace period, leases are given back; webhooks are answered until then; then the listeners close, the
store last. A second signal stops at once. SIGHUP reads the configuration anew.
"""

import random
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import structlog

from replicator import __version__
from replicator.admin.server import AdminPorts, build_admin, names_of, serve_admin
from replicator.admin.standby import PROBLEM, build_standby
from replicator.admin.syncs import SyncRequests
from replicator.allocator import collect_less_often, keep_freed_memory
from replicator.clock import Clock, SystemClock
from replicator.errors import StoreError
from replicator.intake.listener import listening
from replicator.intake.receiver import build_receiver
from replicator.intake.server_tls import ServerTls
from replicator.intake.subscriptions import Subscriptions
from replicator.notify.notifications import Notifications
from replicator.notify.sender import Means as NotifyMeans
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics
from replicator.observability.repeats import tell_held_back
from replicator.reload import Reloader
from replicator.secret_watch import SecretWatch
from replicator.service import Service
from replicator.settings.schema import Settings
from replicator.store.held import Held
from replicator.store.opening import open_store
from replicator.store.outbox import Outbox
from replicator.store.store import Store
from replicator.store.sweeps import Sweeps
from replicator.sweep.activity import Activity
from replicator.sync.syncs import Syncs
from replicator.together import first_error
from replicator.world import Ground, build_world, scope_of
from replicator.worlds import Worlds

_Store = TypeVar("_Store")
_TELL_EVERY = 5.0
_STAND_BY = 2.0  # seconds between two looks whether the other daemon has ended

_log = structlog.get_logger(__name__)


class DaemonEvent(StrEnum):
    """Names of the log lines of starting and stopping; each is explained in docs/logs.md."""

    DAEMON_STANDING_BY = "daemon_standing_by"
    DAEMON_STARTED = "daemon_started"
    DAEMON_STOPPING = "daemon_stopping"
    DAEMON_STOPPED = "daemon_stopped"


@dataclass(slots=True)
class _Intake:
    """Whether webhooks are taken: false before the listener is bound and once it is about to close."""

    open: bool = False

    @contextmanager
    def opened(self) -> Iterator[None]:
        self.open = True
        try:
            yield
        finally:
            self.open = False


@dataclass(slots=True)
class _Orders:
    """What signals have told: to stop, to stop `at_once`, to read the configuration anew."""

    stop: anyio.Event = field(default_factory=anyio.Event)
    at_once: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    reload: anyio.Event = field(default_factory=anyio.Event)

    async def follow(self, signals: AsyncIterator[signal.Signals]) -> None:
        async for number in signals:
            if number == signal.SIGHUP:
                self.reload.set()
                continue
            _log.info(DaemonEvent.DAEMON_STOPPING, signal=number.name, at_once=self.stop.is_set())
            if self.stop.is_set():
                self.at_once.cancel()
            self.stop.set()


async def run_daemon(
    settings: Settings, *, config_path: Path, load: Callable[[], Settings], environ: Mapping[str, str]
) -> None:
    """Run until SIGTERM or SIGINT; `load` reads the configuration again for SIGHUP.

    Raises SettingsError or StoreError when it cannot start.
    """
    keep_freed_memory()
    collect_less_often()
    clock = SystemClock()
    configure_logs(settings.log, sys.stderr, clock=clock)
    orders, service = _Orders(), Service(environ, clock)
    # From the first moment to the last: a signal too early or too late must not end the process out of order.
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(orders.follow, signals)
                with orders.at_once:
                    await _Life(settings, clock, service, orders, load).run(config_path)
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise first_error(errors) from errors
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # All is done: one that comes while the interpreter ends must not change the exit code.
        signal.signal(number, signal.SIG_IGN)
    tell_held_back(all_of_them=True)
    _log.info(DaemonEvent.DAEMON_STOPPED)


async def take_place(
    attempt: Callable[[], Awaitable[_Store]], rest: Callable[[], Awaitable[None]], problem: str
) -> _Store:
    """Return the store once it can be had, trying after each `rest`; `problem` is what was told of it last.

    A server that is not reached meanwhile is waited for: its failover must not take away who stands by.
    """
    while True:
        await rest()
        try:
            return await attempt()
        except StoreError as error:
            if str(error) != problem:
                problem = str(error)
                _log.info(DaemonEvent.DAEMON_STANDING_BY, reason=problem)


class _Life:
    """One life of the daemon, from the opening of the store to its closing."""

    def __init__(
        self, settings: Settings, clock: Clock, service: Service, orders: _Orders, load: Callable[[], Settings]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._service = service
        self._orders = orders
        self._load = load
        self._tls = None if settings.webhooks.tls is None else ServerTls(settings.webhooks.tls)

    async def run(self, config_path: Path) -> None:
        settings, clock = self._settings, self._clock
        metrics = Metrics(scope_of(settings), clock=clock)
        metrics.config_loaded(valid=True)
        async with AsyncExitStack() as stack:
            rng = random.Random()  # noqa: S311 -- jitter, not a secret
            store = await self._open_store(rng, metrics)
            if store is None:
                return
            stack.push_async_callback(store.close)
            ground = Ground(
                store=store,
                clock=clock,
                rng=rng,
                metrics=metrics,
                activity=Activity(clock.now()),
            )
            worlds = Worlds(build_world(settings, ground))
            stack.push_async_callback(worlds.close)
            syncs = Syncs(lambda: worlds.used, worlds.exchanged)
            await self._open_listeners(stack, worlds, ground, syncs)
            _log.info(
                DaemonEvent.DAEMON_STARTED,
                version=__version__,
                config=str(config_path),
                webhooks=str(settings.webhooks.listen),
                admin=str(settings.admin.listen),
                replicas=[one.name for one in settings.replicas],
            )
            self._service.ready()
            await self._work(worlds, ground, syncs)

    async def _open_store(self, rng: random.Random, metrics: Metrics) -> Store | None:
        """Open the store; while another daemon works with it, stand by to take its place. None when told to stop."""
        where, listen = self._settings.store, self._settings.admin.listen
        try:
            return await open_store(where, clock=self._clock, rng=rng, observer=metrics)
        except Held as error:
            held = str(error)
            _log.info(DaemonEvent.DAEMON_STANDING_BY, reason=held)
        opened: list[Store] = []

        async def rest() -> None:
            self._service.standing_by(PROBLEM)
            await self._clock.sleep(_STAND_BY * rng.uniform(0.5, 1.0))

        async def open_once_free() -> None:
            attempt = partial(open_store, where, clock=self._clock, rng=rng, observer=metrics)
            opened.append(await take_place(attempt, rest, held))
            group.cancel_scope.cancel()

        async with serve_admin(build_standby(), listen.host, listen.port), anyio.create_task_group() as group:
            group.start_soon(open_once_free)
            await self._orders.stop.wait()
            group.cancel_scope.cancel()
        return next(iter(opened), None)

    async def _open_listeners(self, stack: AsyncExitStack, worlds: Worlds, ground: Ground, syncs: Syncs) -> None:
        intake, at = _Intake(), self._settings
        ports = AdminPorts(
            store=ground.store,
            lanes=worlds,
            source=worlds,
            presence=worlds,
            comparisons=Sweeps(ground.store),
            looks=worlds,
            routes=worlds,
            metrics=worlds,
            intake_open=lambda: intake.open,
            clock=ground.clock,
        )
        syncing = SyncRequests(syncs=syncs, names=lambda: names_of(worlds.settings()))
        admin = build_admin(worlds.settings, ports, syncing.routes())
        await stack.enter_async_context(serve_admin(admin, at.admin.listen.host, at.admin.listen.port))
        receiver = build_receiver(worlds.doors, clock=ground.clock)
        hooks, context = at.webhooks.listen, None if self._tls is None else self._tls.context
        await stack.enter_async_context(listening(receiver, hooks.host, hooks.port, tls=context))
        stack.enter_context(intake.opened())

    async def _work(self, worlds: Worlds, ground: Ground, syncs: Syncs) -> None:
        drained = anyio.Event()
        means = NotifyMeans(outbox=Outbox(ground.store), clock=ground.clock, rng=ground.rng)
        notifications = Notifications(worlds.addressed, worlds.exchanged, means)
        await notifications.prepare()

        async def copy() -> None:
            await worlds.run()
            drained.set()

        async with anyio.create_task_group() as group:
            group.start_soon(copy)
            group.start_soon(syncs.run)
            group.start_soon(Subscriptions(worlds.inlets, worlds.exchanged, clock=ground.clock, rng=ground.rng).run)
            group.start_soon(notifications.run)
            group.start_soon(self._service.tell, ground.store, worlds.settings)
            group.start_soon(self._tell_of_repeats)
            group.start_soon(self._end_when_lost, ground.store)
            try:
                await self._reload_until_told_to_stop(worlds, ground)
                grace = worlds.settings().shutdown.grace
                self._service.stopping(grace)
                group.start_soon(self._service.extend_for_ever)
                group.start_soon(self._drain, worlds, ground.store, grace)
                await drained.wait()
            finally:
                ground.store.hurry()  # else a server that hangs would keep us for ever
            group.cancel_scope.cancel()

    async def _drain(self, worlds: Worlds, store: Store, grace: float) -> None:
        await worlds.drain(grace)
        store.hurry()

    async def _reload_until_told_to_stop(self, worlds: Worlds, ground: Ground) -> None:
        reloader = Reloader(worlds, ground, self._service, self._load)
        async with anyio.create_task_group() as group:
            group.start_soon(self._reload_when_told, reloader)
            group.start_soon(SecretWatch(worlds, ground, reloader, self._tls).run)
            await reloader.tell_of_strangers()
            await self._orders.stop.wait()
            group.cancel_scope.cancel()

    async def _reload_when_told(self, reloader: Reloader) -> None:
        while True:
            await self._orders.reload.wait()
            self._orders.reload = anyio.Event()
            await reloader.reload()

    async def _end_when_lost(self, store: Store) -> None:
        # Nothing that this life believes to lease is its own any more: the next one begins by asking for the store.
        raise StoreError(f"the store is lost: {await store.lost()}")

    async def _tell_of_repeats(self) -> None:
        while True:
            await self._clock.sleep(_TELL_EVERY)
            tell_held_back()
