"""Lists of tags and repositories (distribution-spec "Listing Tags"; L1, L2, S9)."""

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import TypeVar

from replicator.errors import NameInvalid, NotFound, RegistryError
from replicator.model import Operation, Repository, Tag, parse_repository, parse_tag
from replicator.registry import scope
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.exchange import Exchange
from replicator.registry.pages import List, Pages

_MOST_ENTRIES = 1_000_000
_NO_CATALOG = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}
)
_T = TypeVar("_T")


class Listing:
    """The lists of one registry. A list that cannot be trusted to be whole ends in a RegistryError, never early."""

    def __init__(self, exchange: Exchange, capabilities: Capabilities) -> None:
        self._exchange = exchange
        self._capabilities = capabilities

    async def tags(self, repository: Repository) -> AsyncIterator[Tag]:
        """Yield the tags of a repository in the registry's order. Raises NotFound when it has none."""
        wanted = List(
            operation=Operation.TAGS_LIST,
            first=self._exchange.endpoint.tags(repository),
            scopes=scope.pull(repository),
            key="tags",
        )
        async for tag in self._entries(wanted, parse_tag):
            yield tag

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
            async for repository in self._entries(wanted, parse_repository):
                self._capabilities.learn(Capability.CATALOG, holds=True)
                yield repository
            self._capabilities.learn(Capability.CATALOG, holds=True)
        except RegistryError as error:
            if error.status in _NO_CATALOG:
                self._capabilities.learn(Capability.CATALOG, holds=False)
            raise

    async def _entries(self, wanted: List, parse: Callable[[str], _T]) -> AsyncIterator[_T]:
        count = 0
        async for page in Pages(self._exchange, self._capabilities, wanted).read():
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
