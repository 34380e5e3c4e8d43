"""Messages out of NATS, from a durable consumer of JetStream or plainly subscribed, over one connection."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from multidict import CIMultiDict

from replicator.clock import Clock
from replicator.errors import SettingsError
from replicator.intake.nats_connection import (
    CONNECT_SECONDS,
    Trouble,
    connection,
    lost_if_broken,
    server_of,
    settled,
)
from replicator.settings.subscriptions import AUTO, Subscription

AT_ONCE: Final = 8
"""How many messages are on their way to disk at a time."""
FETCH_SECONDS = 30.0
"""How long a question for the next message waits for one; then it is asked again."""
_ACK_SECONDS: Final = 60.0
"""What is not acknowledged within this time JetStream sends again."""
_PENDING_MESSAGES: Final = 16_384
_PENDING_BYTES: Final = 64 << 20
_NO_JETSTREAM: Final = frozenset({None, 10039, 10076})
"""Codes of errors with 503 that say that there is no JetStream, not that it cannot answer now."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. What JetStream sent comes again until it was `done` or `dropped`."""

    body: bytes
    headers: Mapping[str, str]
    _sent: Any
    _kept: bool

    async def done(self) -> None:
        """Say that it is on disk."""
        if self._kept:
            with lost_if_broken():
                await self._sent.ack()

    async def dropped(self) -> None:
        """Say that it is not wanted again, though nothing became of it."""
        if self._kept:
            with lost_if_broken():
                await self._sent.term()

    async def waiting(self) -> None:
        """Say that it takes longer."""
        if self._kept:
            with lost_if_broken():
                await self._sent.in_progress()


class Source(Protocol):
    """Where messages of one feed come from; each is asked by one task."""

    async def next(self) -> Message:
        """Return the next message, however long it takes. Raises FeedLost."""
        ...

    def left(self) -> int:
        """Return how many messages are here already, and would be lost with the feed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One connection. `stream` is the one of JetStream that keeps the subject, "" where nothing does."""

    server: str
    stream: str
    sources: Sequence[Source]
    trouble: Trouble


@asynccontextmanager
async def feed_of(settings: Subscription, clock: Clock) -> AsyncIterator[Feed]:
    """Hold a connection, with messages coming, while the block runs. Raises FeedLost when it cannot be had.

    Secrets and certificates are read anew.
    """
    trouble = Trouble()
    async with connection(settings, trouble) as client:
        with lost_if_broken(trouble):
            stream, sources = await _subscribe(client, settings, clock)
        await settled(client, trouble)
        yield Feed(server=server_of(client), stream=stream, sources=sources, trouble=trouble)


async def _subscribe(client: Any, settings: Subscription, clock: Clock) -> tuple[str, Sequence[Source]]:
    jetstream = client.jetstream(timeout=CONNECT_SECONDS)
    stream = "" if settings.stream is None else await stream_of(jetstream, settings)
    if not stream:
        plain = _Plain(
            await client.subscribe(
                settings.subject, pending_msgs_limit=_PENDING_MESSAGES, pending_bytes_limit=_PENDING_BYTES
            )
        )
        return "", (plain,) * AT_ONCE
    await _make_consumer(jetstream, stream, settings)
    return stream, [
        _Kept(await jetstream.pull_subscribe_bind(consumer=settings.durable, stream=stream), clock)
        for _ in range(AT_ONCE)
    ]


async def stream_of(jetstream: Any, settings: Subscription) -> str:
    """Return the stream that keeps the subject, "" where nothing does."""
    from nats.js.errors import NotFoundError, ServiceUnavailableError  # noqa: PLC0415 -- an extra

    if settings.stream != AUTO:
        return settings.stream or ""
    try:
        return str(await jetstream.find_stream_name_by_subject(settings.subject))
    except NotFoundError:
        return ""
    except ServiceUnavailableError as error:
        if getattr(error, "err_code", None) in _NO_JETSTREAM:
            return ""
        raise


async def _make_consumer(jetstream: Any, stream: str, settings: Subscription) -> None:
    from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy  # noqa: PLC0415 -- an extra
    from nats.js.errors import NotFoundError  # noqa: PLC0415 -- an extra

    try:
        found = await jetstream.consumer_info(stream, settings.durable)
    except NotFoundError:
        wanted = ConsumerConfig(
            name=settings.durable,
            durable_name=settings.durable,
            # The first time all that the stream still keeps: it is a list of hints, and an old one costs a question.
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=_ACK_SECONDS,
            filter_subject=settings.subject,
        )
        found = await jetstream.add_consumer(stream, config=wanted)
    refuse_another(found, stream, settings)


def refuse_another(found: Any, stream: str, settings: Subscription) -> None:
    """Raise SettingsError for a consumer that was made for something else."""
    from nats.js.api import AckPolicy  # noqa: PLC0415 -- an extra

    config = found.config
    if config.deliver_subject or config.ack_policy != AckPolicy.EXPLICIT or config.filter_subject != settings.subject:
        raise SettingsError(
            f"the consumer {settings.durable} of the stream {stream} is another one's: it does not pull "
            f"{settings.subject} with explicit acknowledgement; remove it, or write another name as durable"
        )


class _Plain:
    """A subscription of plain NATS: what is not taken in time is gone."""

    def __init__(self, subscription: Any) -> None:
        self._subscription = subscription

    async def next(self) -> Message:
        with lost_if_broken():
            return _message(await self._subscription.next_msg(timeout=None), kept=False)

    def left(self) -> int:
        return int(self._subscription.pending_msgs)


class _Kept:
    """A durable consumer, asked for one message at a time, so that none waits for others to come."""

    def __init__(self, subscription: Any, clock: Clock) -> None:
        self._subscription = subscription
        self._clock = clock

    async def next(self) -> Message:
        while True:
            asked = self._clock.monotonic()
            with lost_if_broken():
                try:
                    (sent,) = await self._subscription.fetch(1, timeout=FETCH_SECONDS)
                    return _message(sent, kept=True)
                except TimeoutError:
                    if self._clock.monotonic() - asked < FETCH_SECONDS / 2:
                        # Not for want of messages: is the consumer still there?
                        await self._subscription.consumer_info()
                        await self._clock.sleep(1.0)

    def left(self) -> int:
        return 0


def _message(sent: Any, *, kept: bool) -> Message:
    return Message(sent.data, CIMultiDict(sent.headers or {}), sent, kept)
