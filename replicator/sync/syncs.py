"""The syncs that a running daemon was asked for: begun at once, and remembered for a while after their end."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import anyio
import structlog
from anyio.abc import TaskGroup

from replicator.admin.documents import SyncDocument
from replicator.correlation import delivery_id
from replicator.errors import StoreError
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.sweep.selection import Selection, UnknownRepository
from replicator.sync.document import document
from replicator.sync.events import SyncEvent
from replicator.sync.sync import Means, Sync, paused

AT_ONCE = 4
"""Syncs that run at the same time at most."""
KEPT = 20
"""Syncs that are remembered after their end."""

_log = structlog.get_logger(__name__)


class Used(Protocol):
    """What works under the configuration in use."""

    @property
    def settings(self) -> Settings:
        """The configuration."""
        ...

    @property
    def router(self) -> Router:
        """Its rules."""
        ...

    @property
    def sync_means(self) -> Means:
        """What syncs work with."""
        ...


class Syncs:
    """Runs syncs under the configuration that is `used`; one that is `exchanged` ends those under the former."""

    def __init__(self, used: Callable[[], Used], exchanged: Callable[[], anyio.Event]) -> None:
        self._used = used
        self._exchanged = exchanged
        self._group: TaskGroup | None = None
        self._running: dict[str, Sync] = {}
        self._ended: OrderedDict[str, SyncDocument] = OrderedDict()

    async def run(self) -> None:
        """Let syncs run until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            await anyio.sleep_forever()

    async def start(self, repositories: Sequence[str], replicas: Sequence[str]) -> SyncDocument | None:
        """Begin a sync of what `repositories` mean, on `replicas` (none: on all); None where too many run.

        Raises ValueError for a pattern that cannot be understood, StoreError.
        """
        # Before the store is asked: the configuration may be left meanwhile.
        used, exchanged = self._used(), self._exchanged()
        names = tuple(replicas) or tuple(one.name for one in used.settings.replicas)
        swept = () if used.settings.sweep is None else used.settings.sweep.repositories
        selection = Selection(repositories, swept, used.router)
        means = used.sync_means.only(names)
        left_alone = await paused(means.store, names)
        if self._group is None or len(self._running) >= AT_ONCE:
            return None
        sync = Sync(means, selection, left_alone=left_alone, delivery=delivery_id())
        self._running[sync.delivery] = sync
        self._group.start_soon(self._live, sync, exchanged)
        return document(sync.progress())

    def document(self, identity: str) -> SyncDocument | None:
        """Return how far a sync is, None for one that is not remembered."""
        running = self._running.get(identity)
        return self._ended.get(identity) if running is None else document(running.progress())

    async def _live(self, sync: Sync, exchanged: anyio.Event) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cut_when, exchanged, sync, group.cancel_scope)
                await self._run(sync)
                group.cancel_scope.cancel()
        finally:
            # What is remembered is its document alone: what it knew of every blob would be far more.
            self._ended[sync.delivery] = document(self._running.pop(sync.delivery).progress())
            while len(self._ended) > KEPT:
                self._ended.popitem(last=False)

    async def _run(self, sync: Sync) -> None:
        try:
            await sync.run()
        except UnknownRepository as error:
            sync.end(refused=str(error))
        except StoreError as error:
            sync.end(trouble=str(error))
        except Exception:  # noqa: BLE001 -- the edge of what an operator asked for: a bug in it must not end the daemon
            _log.exception(SyncEvent.SYNC_CRASHED)
            sync.end(trouble="unexpected error; see the log")

    async def _cut_when(self, exchanged: anyio.Event, sync: Sync, scope: anyio.CancelScope) -> None:
        """End it when its configuration is left: its clients will be closed."""
        await exchanged.wait()
        sync.end(trouble="the configuration was read anew meanwhile: ask again")
        scope.cancel()
