"""Clients of the registries, for commands that work without the daemon."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from replicator.clock import Clock
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.http import HttpObserver
from replicator.settings.schema import PRIMARY, PrimarySettings, ReplicaSettings, Settings


@asynccontextmanager
async def open_registries(
    settings: Settings, replicas: Sequence[str], clock: Clock, *, observer: HttpObserver | None = None
) -> AsyncIterator[dict[str, RegistryClient]]:
    """Yield the clients of the primary, by the name `primary`, and of `replicas`; they close with the block."""
    clients: dict[str, RegistryClient] = {}
    async with AsyncExitStack() as stack:
        every: tuple[PrimarySettings | ReplicaSettings, ...] = (settings.primary, *settings.replicas)
        for registry in every:
            if registry.name == PRIMARY or registry.name in replicas:
                client = open_registry(registry, clock=clock, observer=observer)
                stack.push_async_callback(client.close)
                clients[registry.name] = client
        yield clients
