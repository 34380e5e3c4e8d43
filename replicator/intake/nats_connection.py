"""One connection to NATS, and what is lost with it.

Only this module and those that read through it import nats-py, when asked. It never reconnects by the library's own
means: that waits equally long each time, follows servers that others name, keeps secrets of long ago, and gives up
for good when refused once.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import anyio

from replicator.errors import ReplicatorError, SettingsError
from replicator.intake.nats_login import login_of, refuse_plain
from replicator.intake.nats_problems import is_refusal, problem_of
from replicator.registry.tls import tls_contexts
from replicator.settings.subscriptions import Subscription

CONNECT_SECONDS: Final = 10
"""How long each server may take to let us in."""
_PING_SECONDS: Final = 20
"""A server that leaves two of these unanswered is taken for dead."""
_CLOSE_SECONDS: Final = 1.0
"""After a failed TLS handshake the library waits for the end of the connection for ever."""


class FeedLost(ReplicatorError):
    """Nothing comes any more, or yet; the message says why and is safe to show."""

    temporary = True


class Trouble:
    """What the library tells beside the answers to calls. `ended` is set when nothing will come any more."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.problem = ""
        self.overrun = 0

    async def heard(self, error: Exception) -> None:
        """Take note of an error; one by which the server refuses something ends the feed."""
        from nats.errors import SlowConsumerError  # noqa: PLC0415 -- an extra

        if isinstance(error, SlowConsumerError):
            self.overrun += 1
            return
        if not self.ended.is_set():
            self.problem = problem_of(error)
        if is_refusal(error):
            self.ended.set()

    async def closed(self) -> None:
        """Take note that the connection is gone."""
        self.ended.set()


@asynccontextmanager
async def connection(settings: Subscription, trouble: Trouble) -> AsyncIterator[Any]:
    """Hold a connection while the block runs. Raises FeedLost when it cannot be had.

    Secrets and certificates are read anew.
    """
    from nats.aio.client import Client  # noqa: PLC0415 -- an extra

    client = Client()
    try:
        with lost_if_broken(trouble):
            await _connect(client, settings, trouble)
        yield client
    finally:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True), suppress(Exception):
            await client.close()


async def settled(client: Any, trouble: Trouble) -> None:
    """Wait for what the server has against all that was asked of it. Raises FeedLost when it refused something."""
    with lost_if_broken(trouble):
        # What it has against something comes before the answer to a ping that was sent after it. The library writes a
        # ping at once, and in the next turn of the loop what was asked before: only the second ping comes after.
        await client.flush(timeout=CONNECT_SECONDS)
        await client.flush(timeout=CONNECT_SECONDS)
    if trouble.ended.is_set():
        raise FeedLost(trouble.problem)


def server_of(client: Any) -> str:
    """Return host and port of the server that let us in."""
    return client.connected_url.netloc if client.connected_url else ""


async def _connect(client: Any, settings: Subscription, trouble: Trouble) -> None:
    context = tls_contexts(settings.tls).registry
    await client.connect(
        servers=list(settings.url),
        name=f"replicator {settings.name}",
        error_cb=trouble.heard,
        closed_cb=trouble.closed,
        allow_reconnect=False,
        # Each server is tried twice, without a pause: pauses are the caller's.
        max_reconnect_attempts=1,
        reconnect_time_wait=0,
        connect_timeout=CONNECT_SECONDS,
        ping_interval=_PING_SECONDS,
        tls=context,
        **login_of(settings, client),
    )
    refuse_plain(settings, client)


@contextmanager
def lost_if_broken(trouble: Trouble | None = None) -> Iterator[None]:
    """Raise FeedLost for whatever a call of the library raises; what `trouble` heard before says it better."""
    from nats.errors import Error, NoServersError  # noqa: PLC0415 -- an extra

    try:
        yield
    except NoServersError as error:
        raise FeedLost((trouble.problem if trouble else "") or problem_of(error)) from error
    except SettingsError as error:
        raise FeedLost(str(error)) from error
    except (Error, OSError, TimeoutError) as error:
        refused = trouble is not None and trouble.ended.is_set() and trouble.problem
        raise FeedLost(refused or problem_of(error)) from error
