"""Lists of tags and repositories (distribution-spec "Listing Tags"; L1, L2, S9)."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol, TypeVar

from replicator.errors import NameInvalid, NotFound, RegistryError
from replicator.model import Digest, Operation, Repository, Tag, parse_repository, parse_tag
from replicator.registry import scope
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.exchange import Exchange
from replicator.registry.pages import List, Pages

_MOST_ENTRIES = 1_000_000
_NO_CATALOG = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
)
_T = TypeVar("_T")


WORTH_IT: Final = 4
"""Tags of unknown digest for which a list of them is read: one or two requests, and maybe a token, for as many."""


class Digests(Protocol):
    """A registry's own list of tags with their digests."""

    async def digests(self, repository: Repository, tags: Collection[Tag]) -> Mapping[Tag, Digest | None]:
        """Return what `tags` name as far as it tells that. Raises nothing where it does not."""
        ...


@dataclass(frozen=True, slots=True)
class TagList:
    """The tags that a registry listed, with their digests where it told them.

    Only of a list that is `whole` may be concluded that a tag is gone that it does not name.
    """

    tags: Mapping[Tag, Digest | None]
    whole: bool


class Listing:
    """The lists of one registry. A list that cannot be trusted to be whole ends in a RegistryError, never early."""

    def __init__(self, exchange: Exchange, capabilities: Capabilities, own: Digests) -> None:
        self._exchange = exchange
        self._capabilities = capabilities
        self._own = own

    async def tags(self, repository: Repository) -> AsyncIterator[Tag]:
        """Yield the tags of a repository in the registry's order. Raises NotFound when it has none."""
        async for tag in self._parsed(self._pages(repository), parse_tag):
            yield tag

    async def all_tags(self, repository: Repository, *, digests: bool = False) -> TagList:
        """Return all tags at once. Raises RegistryError, for a list that breaks off too.

        With `digests` a list of the registry's own is asked for those that the standard one does not tell.

        Not `whole` is one that was cut without a word of the registry, and that of a repository which it does not
        know: some say so of what may not be seen.
        """
        pages = self._pages(repository)
        try:
            found = [tag async for tag in self._parsed(pages, parse_tag)]
        except NotFound:
            return TagList({}, whole=False)
        untold = [tag for tag in found if tag not in pages.digests]
        told = await self._own.digests(repository, untold) if digests and len(untold) >= WORTH_IT else {}
        named = {tag: pages.digests.get(tag, told.get(tag)) for tag in found}
        return TagList(named, whole=not pages.was_cut)

    async def few_tags(self, repository: Repository, most: int) -> frozenset[Tag] | None:
        """Return all tags, none where there is no such repository; None where `most` are not all, or not listed.

        Raises RegistryError for trouble that may pass.
        """
        found: set[Tag] = set()
        try:
            async for tag in self.tags(repository):
                if len(found) == most:
                    return None
                found.add(tag)
        except NotFound:
            return frozenset()
        except RegistryError as error:
            if error.temporary:
                raise
            return None
        return frozenset(found)

    async def repositories(self) -> AsyncIterator[Repository]:
        """Yield all repositories. Raises RegistryError where there is no catalog."""
        wanted = List(
            operation=Operation.CATALOG_LIST,
            first=self._exchange.endpoint.catalog,
            scopes=scope.CATALOG,
            key="repositories",
        )
        try:
            async for repository in self._parsed(self._pages_of(wanted), parse_repository):
                self._capabilities.learn(Capability.CATALOG, holds=True)
                yield repository
            self._capabilities.learn(Capability.CATALOG, holds=True)
        except RegistryError as error:
            if error.status in _NO_CATALOG:
                self._capabilities.learn(Capability.CATALOG, holds=False)
            raise

    def _pages(self, repository: Repository) -> Pages:
        wanted = List(
            operation=Operation.TAGS_LIST,
            first=self._exchange.endpoint.tags(repository),
            scopes=scope.pull(repository),
            key="tags",
        )
        return self._pages_of(wanted)

    def _pages_of(self, wanted: List) -> Pages:
        return Pages(self._exchange, self._capabilities, wanted)

    async def _parsed(self, pages: Pages, parse: Callable[[str], _T]) -> AsyncIterator[_T]:
        count = 0
        async for page in pages.read():
            for text in page.names:
                count += 1
                if count > _MOST_ENTRIES:
                    raise self._exchange.unexpected(
                        page.request, page.reply, f"with more than {_MOST_ENTRIES} entries"
                    )
                try:
                    name = parse(text)
                except NameInvalid as error:
                    raise self._exchange.unexpected(page.request, page.reply, f"but {error}") from error
                yield name
