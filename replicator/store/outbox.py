"""The part of the store that senders of notifications work with: what waits for each receiver."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from replicator.news import Audience, Happening
from replicator.store import news_statements as statements
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.session import Session
from replicator.store.sweeps import Threads
from replicator.store.writer import PostListener

MOST_WAITING = 10_000
"""Messages that wait for one receiver: beyond that the oldest are dropped."""
PAGE = 1000
"""Messages dropped at most in one operation, so that acknowledgements never wait long behind a large one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message of one receiver, which knows it as `name`; times are Unix seconds, `attempts` those that failed."""

    number: int
    name: str
    happening: Happening
    body: bytes = field(repr=False)
    created_at: float
    due_at: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many messages wait for a receiver, the oldest of them `since` (Unix seconds)."""

    count: int
    since: float


class PostThreads(Threads, Protocol):
    """The threads of a store, which also tell of messages."""

    def listen_to_posts(self, listener: PostListener) -> None:
        """Call back, on the event loop, after messages may have been posted."""
        ...


class Outbox:
    """Keeps messages until they are delivered or given up. All methods raise StoreError."""

    def __init__(self, threads: PostThreads) -> None:
        self._threads = threads

    def listen(self, listener: PostListener) -> None:
        """Have `listener` called on the event loop with receivers for whom there may be something new."""
        self._threads.listen_to_posts(listener)

    async def address(self, audience: Audience) -> Mapping[str, int]:
        """Write to these from now on. What waits for others is dropped; the answer counts it by receiver."""
        return await self._threads.submit(partial(_address, audience=audience))

    async def first(self, receiver: str, limit: int) -> tuple[Message, ...]:
        """Return the messages of a receiver that are due first, whether they are due yet or not."""
        return await self._threads.ask(partial(_first, receiver=receiver, limit=limit))

    async def drop(self, number: int) -> None:
        """Forget a message: it was delivered, or never will be."""
        await self._threads.submit(partial(_execute, statement=statements.DROP, values={"key_id": number}))

    async def again(self, number: int, at: float) -> None:
        """Have a message that failed tried again `at` (Unix seconds)."""
        await self._threads.submit(partial(_execute, statement=statements.AGAIN, values={"key_id": number, "at": at}))

    async def make_due(self, receiver: str, now: float) -> None:
        """Have all messages of a receiver tried now: it answers again."""
        values: dict[str, Value] = {"receiver": receiver, "now": now}
        await self._threads.submit(partial(_execute, statement=statements.MAKE_DUE, values=values))

    async def drop_oldest(self, receiver: str, count: int) -> Mapping[Happening, int]:
        """Drop the oldest messages of a receiver, at most a page of them; the answer counts them."""
        return await self._threads.submit(partial(_drop_oldest, receiver=receiver, count=min(count, PAGE)))

    async def waiting(self) -> Mapping[str, Waiting]:
        """Return what waits for each receiver; one that is missing lacks nothing."""
        found = await self._threads.ask(lambda one: statements.WAITING.run(one, {}).fetchall())
        return {receiver: Waiting(count, since) for receiver, count, since in found}


def _address(session: Session, audience: Audience) -> Mapping[str, int]:
    session.audience = audience
    found = statements.WAITING.run(session.connection, {}).fetchall()
    strangers = {receiver: count for receiver, count, _ in found if receiver not in audience.names}
    for receiver in strangers:
        statements.DROP_ALL_OF.run(session.connection, {"receiver": receiver})
    return strangers


def _execute(session: Session, statement: Prepared, values: dict[str, Value]) -> None:
    statement.run(session.connection, values)


def _drop_oldest(session: Session, receiver: str, count: int) -> Mapping[Happening, int]:
    found = statements.OLDEST.run(session.connection, {"receiver": receiver, "count": count}).fetchall()
    statements.DROP.run_each(session.connection, ({"key_id": number} for number, _ in found))
    return Counter(Happening(happening) for _, happening in found)


def _first(connection: Connection, receiver: str, limit: int) -> tuple[Message, ...]:
    found = statements.FIRST.run(connection, {"receiver": receiver, "count": limit}).fetchall()
    return tuple(
        Message(
            number=number,
            name=name,
            happening=Happening(happening),
            body=body,
            created_at=created_at,
            due_at=due_at,
            attempts=attempts,
        )
        for number, name, happening, body, created_at, due_at, attempts in found
    )
