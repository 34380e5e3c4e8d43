"""What sending needs of the store and of metrics: small Protocols, owned by their consumer."""

from collections.abc import Callable, Mapping
from typing import Protocol

from replicator.news import Audience, Happening
from replicator.store.outbox import Message, Waiting


class Outbox(Protocol):
    """Messages until they are delivered or given up. All methods raise StoreError."""

    def listen(self, listener: Callable[[frozenset[str]], None], /) -> None:
        """Call back, on the event loop, with receivers for whom there may be something new."""
        ...

    async def address(self, audience: Audience) -> Mapping[str, int]:
        """Write to these from now on; what waits for others is dropped and counted by receiver."""
        ...

    async def first(self, receiver: str, limit: int) -> tuple[Message, ...]:
        """Return the messages of a receiver that are due first, due yet or not."""
        ...

    async def drop(self, number: int) -> None:
        """Forget a message."""
        ...

    async def again(self, number: int, at: float) -> None:
        """Have a message tried again `at` (Unix seconds)."""
        ...

    async def make_due(self, receiver: str, now: float) -> None:
        """Have all messages of a receiver tried now."""
        ...

    async def drop_oldest(self, receiver: str, count: int) -> Mapping[Happening, int]:
        """Drop the oldest messages of a receiver, perhaps not all of `count`; the answer counts them."""
        ...

    async def waiting(self) -> Mapping[str, Waiting]:
        """Return what waits for each receiver."""
        ...


class Counts(Protocol):
    """What metrics want to know."""

    def notification(self, receiver: str, event: str, result: str, count: int = 1) -> None:
        """Count tries and ends of messages."""
        ...

    def notifications_waiting(self, receiver: str, count: int, delivered_through: float) -> None:
        """Say how many messages wait, and until when (Unix seconds) every one was delivered or given up."""
        ...
