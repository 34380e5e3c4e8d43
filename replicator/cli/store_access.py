"""A question for the daemon; where none runs, its store is opened here and asked itself."""

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from replicator.admin.client import AdminClient, NoDaemon, open_client
from replicator.clock import SystemClock
from replicator.errors import StoreError
from replicator.settings.schema import Settings
from replicator.store.opening import is_missing, open_store
from replicator.store.store import Store

T = TypeVar("T")


async def ask_daemon(settings: Settings, question: Callable[[AdminClient], Awaitable[T]]) -> T:
    """Return the daemon's answer. Raises NoDaemon, ApiFailed."""
    listen = settings.admin.listen
    async with open_client(listen.host, listen.port, settings.admin.token) as client:
        return await question(client)


async def ask_daemon_or_store(
    settings: Settings,
    question: Callable[[AdminClient], Awaitable[T]],
    otherwise: Callable[[Store], Awaitable[T]],
) -> T:
    """Return the daemon's answer; where none runs, that of `otherwise` on the store. Raises StoreError, ApiFailed."""
    try:
        return await ask_daemon(settings, question)
    except NoDaemon as error:
        no_daemon = error
    if await is_missing(settings.store):
        raise StoreError(f"{no_daemon}, and there is no store at {settings.store.sqlite_path} yet")
    store = await open_store(settings.store, clock=SystemClock(), rng=random.Random())  # noqa: S311 -- pauses
    try:
        return await otherwise(store)
    finally:
        await store.close()
