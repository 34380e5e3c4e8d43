"""The daemon as a service of systemd: ready, reloading, stopping, one line of status, and signs of life."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import anyio

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.notify_socket import NotifySocket
from replicator.settings.schema import Settings
from replicator.store.rows import StoreSummary
from replicator.store.store import Store

STATUS_EVERY = 5.0
_EXTENSION = 30.0


class Service:
    """What the service manager is told, if there is one; sends nothing otherwise."""

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._socket = NotifySocket(environ)
        self._clock = clock
        self._note = ""

    def ready(self) -> None:
        """Tell that all listeners are open and the store is."""
        self._socket.send(ready=1, status=self._text("running"))

    def standing_by(self, problem: str) -> None:
        """Tell, again and again, that the daemon waits to take another's place: it is started, and well."""
        self._socket.send(ready=1, watchdog=1, status=problem)

    def reloading(self) -> None:
        """Tell that the configuration is being read; `reloaded` has to follow."""
        # Without the time, newer versions cannot tell this reload from the one before.
        self._socket.send(reloading=1, monotonic_usec=int(self._clock.monotonic() * 1e6))

    def reloaded(self, note: str) -> None:
        """Tell that it was read; `note` stays in the status until the next time, empty when all is well."""
        self._note = note
        self._socket.send(ready=1, status=self._text("running"))

    def stopping(self, grace: float) -> None:
        """Tell that the daemon ends, `grace` seconds being given to copies under way."""
        self._note = f"draining, for {grace:g} s at most"
        self._socket.send(stopping=1, status=self._note)
        self.extend()

    def extend(self) -> None:
        """Ask for more time than the unit gives; said again and again while the daemon drains."""
        self._socket.send(extend_timeout_usec=int(_EXTENSION * 1e6))

    async def tell(self, store: Store, settings: Callable[[], Settings]) -> None:
        """Keep the status up and the watchdog fed, until cancelled; `settings` are those of now."""
        if not self._socket.is_heard:
            return
        async with anyio.create_task_group() as group:
            group.start_soon(self._show, store, settings)
            if self._socket.watchdog is not None:
                group.start_soon(self._feed, store, self._socket.watchdog / 2)

    async def extend_for_ever(self) -> None:
        """Ask for more time until cancelled."""
        while True:
            await self._clock.sleep(_EXTENSION / 6)
            self.extend()

    async def _show(self, store: Store, settings: Callable[[], Settings]) -> None:
        while True:
            try:
                names = tuple(replica.name for replica in settings().replicas)
                text = status_text(await store.summary(), names)
            except StoreError as error:
                text = f"the store cannot be read: {error}"
            self._socket.send(status=self._text(text))
            await self._clock.sleep(STATUS_EVERY)

    async def _feed(self, store: Store, every: float) -> None:
        # That this runs at all proves the event loop; the tick proves the thread that writes.
        while True:
            began = self._clock.monotonic()
            with anyio.move_on_after(every), suppress(StoreError):
                await store.tick()
                self._socket.send(watchdog=1)
            await self._clock.sleep(every - (self._clock.monotonic() - began))

    def _text(self, text: str) -> str:
        return f"{self._note}; {text}" if self._note else text


def status_text(summary: StoreSummary, replicas: tuple[str, ...]) -> str:
    """Return in one line how far the replicas are behind."""
    found = {name: summary.replica(name) for name in replicas}
    since = {name: one.since for name, one in found.items() if one.since is not None}
    filled = sum(one.backfill for one in found.values())
    if not since and filled:
        return f"{filled} owed to fill replicas"
    if not since and len(replicas) == 1:
        return f"{replicas[0]} is up to date"
    if not since:
        return f"all {len(replicas)} replicas are up to date"
    worst = min(since, key=lambda name: since[name])
    owed = sum(one.owed for one in found.values())
    return f"{owed} owed, {worst} lags {max(0.0, summary.read_at - since[worst]):.0f} s"
