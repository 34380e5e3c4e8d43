"""What the registry in memory lists, for sweeps; it keeps the promises of the real client's lists."""

from collections.abc import AsyncIterator

from replicator.model import Digest, Reference, Repository, Tag
from replicator.registry.listing import TagList
from tests.unit.replication.support import Call, ModelRegistry, Op

_LIST = Tag("list")


class ModelCatalog:
    """The lists of one registry in memory."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    @property
    def name(self) -> str:
        """Configuration name."""
        return self._registry.name

    async def repositories(self) -> AsyncIterator[Repository]:
        """Yield all repositories, a call each so that a list may break off."""
        for repository in sorted({repository for repository, _ in self._registry.tags}):
            await self._asked(repository)
            yield repository

    async def all_tags(self, repository: Repository, *, digests: bool = False) -> TagList:
        """Return all tags, none with its digest; of a repository without any it is not sure, as one answered 404."""
        del digests
        await self._asked(repository)
        found = {Tag(str(tag)): None for where, tag in self._registry.tags if where == repository}
        return TagList(found, whole=bool(found))

    async def named(self, repository: Repository, reference: Reference, known: Digest) -> Digest | None:
        """Return the digest that `reference` names, None for nothing."""
        del known
        found = await self._registry.stat_manifest(repository, reference)
        return None if found is None else found.digest

    async def _asked(self, repository: Repository) -> None:
        call = Call(self._registry.name, Op.TAGS, repository, _LIST)
        self._registry.calls.append(call)
        await self._registry.hook(call)
