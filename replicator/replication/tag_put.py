"""Put what goes by a tag of its own, such as cosign's, along with an image, without undoing what came meanwhile (G4).

It was read before the image was copied, and whoever has the lease of the tag may be ahead of us.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from replicator.errors import NotFound, Reason, RegistryError, ReplicatorError
from replicator.model import Digest, Lease, Repository, Tag
from replicator.replication.asides import Asides, WhenPut
from replicator.replication.companions import Companion
from replicator.replication.ports import Source
from replicator.replication.survey import ManifestCache, read_closure

TRIES = 3
"""States of one tag that are copied with one try at its image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where companions are read: `repository` of `source`."""

    source: Source
    repository: Repository
    cache: ManifestCache

    async def names(self, tag: Tag) -> Digest | None:
        """Return what the tag names now. Raises RegistryError."""
        named = await self.source.stat_manifest(self.repository, tag)
        return None if named is None else named.digest

    async def read(self, tag: Tag) -> Companion | None:
        """Read anew what goes by the tag, None when it is gone. Raises RegistryError, ContentError."""
        try:
            raw = await self.source.read_manifest(self.repository, tag)
        except NotFound:
            return None
        return Companion(tag, await read_closure(self.source, self.repository, raw, self.cache), None)


class Moved(ReplicatorError):
    """The tag names something else than what was about to be put."""

    temporary = True


class TagPut:
    """One put of one tag; `may_publish` of its image is asked last."""

    def __init__(
        self,
        origin: Origin,
        asides: Asides,
        lease: Lease,
        companion: Companion,
        may_publish: Callable[[], Awaitable[None]],
    ) -> None:
        self._origin = origin
        self._asides = asides
        self._lease = lease
        self._companion = companion
        self._may_publish = may_publish
        self._when_put: WhenPut | None = None

    async def check(self) -> None:
        """Return when it may be put, and have that kept. Raises Moved, RegistryError, what `may_publish` raises."""
        tag = Tag(str(self._companion.reference))
        if await self._origin.names(tag) != self._companion.raw.digest:
            raise Moved(f"{tag} moved on")
        if self._when_put is None:
            self._when_put = await self._asides.about_to_put(self._lease, tag, self._companion.raw.digest)
        await self._may_publish()

    async def done(self) -> None:
        """Keep that it was put."""
        if self._when_put is not None:
            await self._when_put()


def moves_too_often(registry: str, tag: Tag) -> RegistryError:
    """Return the error for a tag that never named what was about to be put."""
    return RegistryError(
        f"{registry}: {tag} moved on {TRIES} times while it was copied",
        registry=registry,
        reason=Reason.CONFLICT,
        temporary=True,
    )
