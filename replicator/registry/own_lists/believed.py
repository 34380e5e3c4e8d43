"""What is believed of a registry's own lists of tags with their digests, and what is asked of them.

What they tell spares questions and decides nothing else: which tags there are is said by the standard list alone.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

from replicator.errors import AccessDenied, ContentError, NotFound, RegistryError
from replicator.model import Digest, Reference, Repository, Tag
from replicator.registry.capabilities import Capabilities, DigestList
from replicator.registry.http import is_trouble
from replicator.registry.own_lists.form import Told, joined

Named = Callable[[Repository, Reference, Digest], Awaitable[Digest | None]]
"""Asks what a reference names, given what it is believed to."""


class OwnList(Protocol):
    """A list that the registry may have."""

    @property
    def kind(self) -> DigestList:
        """Which list it is."""
        ...

    def likely(self) -> bool:
        """Say whether it is worth asking a registry of which nothing is proven."""
        ...

    def reaches(self, repository: Repository) -> bool:
        """Say whether a repository of that name can be listed."""
        ...

    async def read(self, repository: Repository) -> Iterable[Told]:
        """Return what it tells. Raises RegistryError, for anything that is not as expected too."""
        ...


class OwnLists:
    """The lists of one registry. A list is proven by one tag: the standard API must name the same digest."""

    def __init__(self, lists: Sequence[OwnList], capabilities: Capabilities, named: Named) -> None:
        self._lists = lists
        self._capabilities = capabilities
        self._named = named

    async def digests(self, repository: Repository, tags: Collection[Tag]) -> Mapping[Tag, Digest | None]:
        """Return what `tags` name as far as a list tells it; nothing where there is none that can be believed.

        Trouble with the list raises nothing: the tags can still be asked for one by one.
        """
        for one in self._lists:
            holds = self._capabilities.holds(one.kind)
            if not (one.likely() if holds is None else holds) or not one.reaches(repository):
                continue
            try:
                told = joined(await one.read(repository))
                found = {tag: told[tag] for tag in tags if tag in told}
                return found if holds or await self._prove(one, repository, found) else {}
            except (RegistryError, ContentError) as error:
                self._failed(one, error)
                return {}
        return {}

    async def _prove(self, one: OwnList, repository: Repository, found: Mapping[Tag, Digest | None]) -> bool:
        for tag, digest in found.items():
            if digest is not None:
                holds = await self._named(repository, tag, digest) == digest
                self._capabilities.learn(one.kind, holds)
                return holds
        return False

    def _failed(self, one: OwnList, error: RegistryError | ContentError) -> None:
        """Keep what a failure proves: nothing in trouble, nor one repository's refusal where others were listed."""
        if isinstance(error, AccessDenied | NotFound):
            teaches = not (error.temporary or self._capabilities.holds(one.kind))
        else:
            teaches = not (isinstance(error, RegistryError) and is_trouble(error))
        if teaches:
            self._capabilities.learn(one.kind, holds=False)
