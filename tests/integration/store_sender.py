"""A process that records changes as fast as it can and prints each key once it is acknowledged, until it is killed.

`python -m tests.integration.store_sender DATABASE PREFIX SENDERS EVENTS [SYNCHRONOUS]`; SYNCHRONOUS replaces the
product's own level, to show that a test notices.
"""

import asyncio
import os
import sys
from pathlib import Path

from replicator.clock import SystemClock
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.store import connections
from replicator.store.sqlite import SqliteStore


async def send(database: Path, prefix: str, senders: int, events: int) -> None:
    """Record `events` changes from `senders` at once; a line on standard output is an acknowledgement."""
    store = await SqliteStore.open(database, clock=SystemClock())
    numbers = iter(range(events))

    async def sender() -> None:
        for number in numbers:
            tag = Tag(f"{prefix}-{number}")
            key = IntentKey("eu", Repository("team/app"), tag)
            await store.record([Intent(key=key, digest=Digest.of(tag.encode()), since=1.0, due_at=1.0)])
            os.write(1, f"ack {tag}\n".encode())

    await asyncio.gather(*(sender() for _ in range(senders)))
    await store.close()


def main() -> None:
    """Read the arguments and send."""
    database, prefix, senders, events, *synchronous = sys.argv[1:]
    if synchronous:
        connections.WRITER_PRAGMAS = (*connections.WRITER_PRAGMAS, f"PRAGMA synchronous={synchronous[0]}")
    asyncio.run(send(Path(database), prefix, int(senders), int(events)))


if __name__ == "__main__":
    main()
