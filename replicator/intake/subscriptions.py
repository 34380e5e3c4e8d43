"""The subscribers of the configuration in use: one that stays the same goes on over a reload, connection and all."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from replicator.clock import Clock
from replicator.intake.inlets import Inlet, Inlets
from replicator.intake.subscriber import Subscriber
from replicator.settings.schema import Subscription


@dataclass(frozen=True, slots=True)
class _Running:
    settings: Subscription
    scope: anyio.CancelScope


class Subscriptions:
    """Runs a subscriber for each subscription.

    `inlets` are those of now; the event that `exchanged` returns is set when there are others.
    """

    def __init__(
        self, inlets: Callable[[], Inlets], exchanged: Callable[[], anyio.Event], *, clock: Clock, rng: random.Random
    ) -> None:
        self._inlets = inlets
        self._exchanged = exchanged
        self._clock = clock
        self._rng = rng
        self._running: dict[str, _Running] = {}

    async def run(self) -> None:
        """Run until cancelled; what is in hand then is put on disk first."""
        async with anyio.create_task_group() as group:
            while True:
                exchanged = self._exchanged()
                self._match(group)
                await exchanged.wait()

    def _match(self, group: TaskGroup) -> None:
        """Start what is new, end what is gone; other settings under the same name are both."""
        wanted = {name: inlet.settings for name, inlet in self._inlets().items()}
        for name, running in list(self._running.items()):
            if wanted.get(name) != running.settings:
                running.scope.cancel()
                del self._running[name]
        for name, settings in wanted.items():
            if name not in self._running:
                self._running[name] = _Running(settings, anyio.CancelScope())
                group.start_soon(self._run, self._running[name])

    async def _run(self, running: _Running) -> None:
        def inlet() -> Inlet | None:
            found = self._inlets().get(running.settings.name)
            return found if found is not None and found.settings == running.settings else None

        def is_used() -> bool:
            return self._running.get(running.settings.name) is running

        with running.scope:
            await Subscriber(running.settings, inlet, clock=self._clock, rng=self._rng, is_used=is_used).run()
