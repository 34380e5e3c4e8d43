"""Puts the daemon together: opens the parts in order, runs them in one task group, and shuts down in order.

Open: store, registries, lanes, admin listener, webhook listener. On SIGTERM or SIGINT: no new leases, copies in
flight get the grace period, leases are given back; webhooks are answered until then; then the listeners close, the
store last. A second signal ends the grace period.
"""

import random
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import anyio
import structlog

from replicator import __version__
from replicator.admin.presence import RegistryPresence
from replicator.admin.server import AdminPorts, build_admin, serve_admin
from replicator.allocator import keep_freed_memory
from replicator.clock import Clock, SystemClock
from replicator.intake.listener import listening
from replicator.intake.receiver import build_receiver
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import RegistryClient, open_registry
from replicator.replication.engine import Engine
from replicator.routing import Router
from replicator.settings.registries import PrimarySettings, ReplicaSettings
from replicator.settings.schema import Settings
from replicator.store.sqlite import SqliteStore

_log = structlog.get_logger(__name__)


class DaemonEvent(StrEnum):
    """Names of the log lines of starting and stopping; each is explained in docs/operations.md."""

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


async def run_daemon(settings: Settings, *, config_path: Path) -> None:
    """Run until SIGTERM or SIGINT. Raises SettingsError or StoreError when it cannot start."""
    keep_freed_memory()
    clock = SystemClock()
    configure_logs(settings.log, sys.stderr, clock=clock)
    metrics = Metrics(Scope.of(settings, version=__version__), clock=clock)
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(settings.store.sqlite_path, clock=clock, observer=metrics)
        stack.push_async_callback(store.close)
        registries = _open_registries(settings, stack, clock, metrics)
        engine = Engine(
            settings=settings,
            store=store,
            registries=registries,
            metrics=metrics,
            clock=clock,
            rng=random.Random(),  # noqa: S311 -- jitter, not a secret
        )
        router = Router(settings)
        hooks, intake = settings.webhooks.listen, _Intake()
        admin = build_admin(
            settings,
            AdminPorts(
                store=store,
                lanes=engine,
                source=registries[settings.primary.name],
                presence=RegistryPresence(registries, {one.name: one.repository_prefix for one in settings.replicas}),
                routes=router,
                metrics=metrics,
                intake_open=lambda: intake.open,
                clock=clock,
            ),
        )
        await stack.enter_async_context(serve_admin(admin, settings.admin.listen.host, settings.admin.listen.port))
        receiver = build_receiver(
            settings.webhooks.endpoints, sink=store, router=router, clock=clock, metrics=metrics
        )
        await stack.enter_async_context(listening(receiver, hooks.host, hooks.port))
        stack.enter_context(intake.opened())
        _log.info(
            DaemonEvent.DAEMON_STARTED,
            version=__version__,
            config=str(config_path),
            webhooks=str(hooks),
            admin=str(settings.admin.listen),
            replicas=[one.name for one in settings.replicas],
        )
        await _work_until_signalled(engine, settings.shutdown.grace)
        _log.info(DaemonEvent.DAEMON_STOPPED)


async def _work_until_signalled(engine: Engine, grace: float) -> None:
    async with anyio.create_task_group() as group:

        async def copy_until_drained() -> None:
            await engine.run()
            group.cancel_scope.cancel()

        group.start_soon(copy_until_drained)
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            draining = False
            async for number in signals:
                _log.info(DaemonEvent.DAEMON_STOPPING, signal=number.name, grace_seconds=0 if draining else grace)
                if draining:
                    group.cancel_scope.cancel()
                draining = True
                group.start_soon(engine.drain, grace)


def _open_registries(
    settings: Settings, stack: AsyncExitStack, clock: Clock, metrics: Metrics
) -> dict[str, RegistryClient]:
    registries: dict[str, RegistryClient] = {}
    configured: tuple[PrimarySettings | ReplicaSettings, ...] = (settings.primary, *settings.replicas)
    for registry in configured:
        client = open_registry(registry, clock=clock, observer=metrics)
        stack.push_async_callback(client.close)
        registries[registry.name] = client
    return registries
