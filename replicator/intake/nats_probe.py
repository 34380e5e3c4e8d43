"""What `check` asks of a subscription: the same connection, and questions that take no message and make nothing."""

from dataclasses import dataclass
from typing import Any, Final

from replicator.intake.nats_connection import (
    CONNECT_SECONDS,
    Trouble,
    connection,
    lost_if_broken,
    server_of,
    settled,
)
from replicator.intake.nats_feed import refuse_another, stream_of
from replicator.settings.subscriptions import Subscription

_NO_CONSUMER: Final = 10014
"""Code of the error that the consumer is missing; that the stream is, has another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a server said. `stream` is "" for plain NATS, `consumer` says whether the durable one is there."""

    server: str
    stream: str
    consumer: bool


async def look(settings: Subscription) -> Looked:
    """Connect and ask whether events could be fetched. Raises FeedLost when not, with the reason."""
    trouble = Trouble()
    async with connection(settings, trouble) as client:
        with lost_if_broken(trouble):
            jetstream = client.jetstream(timeout=CONNECT_SECONDS)
            stream = "" if settings.stream is None else await stream_of(jetstream, settings)
            if stream:
                consumer = await _has_consumer(jetstream, stream, settings)
            else:
                await client.subscribe(settings.subject)
                consumer = False
        await settled(client, trouble)
        return Looked(server=server_of(client), stream=stream, consumer=consumer)


async def _has_consumer(jetstream: Any, stream: str, settings: Subscription) -> bool:
    from nats.js.errors import NotFoundError  # noqa: PLC0415 -- an extra

    try:
        found = await jetstream.consumer_info(stream, settings.durable)
    except NotFoundError as error:
        if error.err_code != _NO_CONSUMER:
            raise
        return False
    refuse_another(found, stream, settings)
    return True
