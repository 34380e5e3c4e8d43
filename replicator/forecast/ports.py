"""What a forecast needs of registries, of the rules and of the store: small Protocols; nothing in them writes."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from replicator.model import Digest, Repository
from replicator.replication.ports import Holder, Policies, Source
from replicator.sweep.compare import Routes
from replicator.sweep.ports import Primary


class ReadPrimary(Source, Primary, Protocol):
    """The primary, as what is listed and as what is read."""


class ReadReplica(Holder, Primary, Protocol):
    """A replica, of which nothing is asked but what it holds."""


class ReadRegistry(ReadPrimary, ReadReplica, Protocol):
    """A registry client, which can be either."""


class Rules(Routes, Policies, Protocol):
    """The rules."""


class Memory(Protocol):
    """What is remembered of blobs on replicas; only ever a hint."""

    async def locations(self, replica: str, digests: Sequence[Digest]) -> Mapping[Digest, tuple[Repository, ...]]:
        """Return repositories known to hold each digest, best first."""
        ...
