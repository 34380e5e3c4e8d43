"""Lists of tags and repositories, page by page (distribution-spec "Listing Tags"; L1, L2, S9)."""

from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import TypeVar

from replicator import strict_json
from replicator.errors import NameInvalid, NotFound, RegistryError
from replicator.model import Operation, Repository, Tag, parse_repository, parse_tag
from replicator.registry import scope
from replicator.registry.answers import Reply
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.link import next_page
from replicator.registry.origin import Target
from replicator.registry.scope import Scope

_PAGE = 4 * 1024 * 1024
_MOST_PAGES = 10_000
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
        first = self._exchange.endpoint.tags(repository)
        pages = self._pages(Operation.TAGS_LIST, first, scope.pull(repository))
        async for tag in self._entries(pages, "tags", parse_tag):
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
        pages = self._pages(Operation.CATALOG_LIST, self._exchange.endpoint.catalog, scope.CATALOG)
        try:
            async for repository in self._entries(pages, "repositories", parse_repository):
                self._capabilities.learn(Capability.CATALOG, holds=True)
                yield repository
            self._capabilities.learn(Capability.CATALOG, holds=True)
        except RegistryError as error:
            if error.status in _NO_CATALOG:
                self._capabilities.learn(Capability.CATALOG, holds=False)
            raise

    async def _entries(
        self, pages: AsyncIterator[tuple[Request, Reply]], key: str, parse: Callable[[str], _T]
    ) -> AsyncIterator[_T]:
        count = 0
        async for request, reply in pages:
            for text in self._names(request, reply, key):
                count += 1
                if count > _MOST_ENTRIES:
                    raise self._exchange.unexpected(request, reply, f"with more than {_MOST_ENTRIES} entries")
                try:
                    name = parse(text)
                except NameInvalid as error:
                    raise self._exchange.unexpected(request, reply, f"but {error}") from error
                yield name

    async def _pages(
        self, operation: Operation, first: Target, scopes: tuple[Scope, ...]
    ) -> AsyncIterator[tuple[Request, Reply]]:
        size = self._capabilities.page_size
        target = first if size is None else first.with_query(f"n={size}")
        request = Request(operation=operation, method="GET", target=target, scopes=scopes)
        reply = await self._exchange.ask(request, limit=_PAGE)
        if reply.status == HTTPStatus.BAD_REQUEST and size is not None:
            # Some refuse a page size they find too large.
            request = Request(operation=operation, method="GET", target=first, scopes=scopes)
            reply = await self._exchange.ask(request, limit=_PAGE)
            if reply.status == HTTPStatus.OK:
                self._capabilities.page_refused()
        seen: set[str] = set()
        while True:
            if reply.status != HTTPStatus.OK:
                raise self._exchange.failure(request, reply)
            yield request, reply
            link = next_page(reply.fields.all("Link"))
            if link is None:
                return
            target = self._exchange.reach.page(reply.target, link)
            if target.text in seen or len(seen) >= _MOST_PAGES:
                raise self._exchange.unexpected(request, reply, "and the list does not come to an end")
            seen.add(target.text)
            request = Request(operation=operation, method="GET", target=target, scopes=scopes)
            reply = await self._exchange.ask(request, limit=_PAGE)

    def _names(self, request: Request, reply: Reply, key: str) -> list[str]:
        try:
            document = strict_json.loads(reply.body, limit=_PAGE)
        except strict_json.Invalid as error:
            raise self._exchange.unexpected(request, reply, f"but {error}") from error
        names = document.get(key) if isinstance(document, dict) else document
        if names is None and isinstance(document, dict):
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._not_a_list(request, reply, key)
        return names

    def _not_a_list(self, request: Request, reply: Reply, key: str) -> RegistryError:
        return self._exchange.unexpected(request, reply, f"but not with a list of {key}")
