"""A question for the daemon; where none runs, its store is opened here and asked itself."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from replicator.admin.client import AdminClient, NoDaemon, open_client
from replicator.clock import SystemClock
from replicator.errors import StoreError
from replicator.settings.schema import Settings
from replicator.store.sqlite import SqliteStore

T = TypeVar("T")


async def ask_daemon(settings: Settings, question: Callable[[AdminClient], Awaitable[T]]) -> T:
    """Return the daemon's answer. Raises NoDaemon, ApiFailed."""
    listen = settings.admin.listen
    async with open_client(listen.host, listen.port, settings.admin.token) as client:
        return await question(client)


async def ask_daemon_or_store(
    settings: Settings,
    question: Callable[[AdminClient], Awaitable[T]],
    otherwise: Callable[[SqliteStore], Awaitable[T]],
) -> T:
    """Return the daemon's answer; where none runs, that of `otherwise` on the store. Raises StoreError, ApiFailed."""
    try:
        return await ask_daemon(settings, question)
    except NoDaemon as error:
        no_daemon = error
    path = settings.store.sqlite_path
    if not await anyio.Path(path).exists():
        raise StoreError(f"{no_daemon}, and there is no store at {path} yet")
    store = await SqliteStore.open(path, clock=SystemClock())
    try:
        return await otherwise(store)
    finally:
        await store.close()
