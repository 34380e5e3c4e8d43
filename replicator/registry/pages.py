"""The pages of one list, until it is whole: by `Link`, and where a registry cuts without one by asking again (L1).

The specification lets a registry leave `Link` away when it cuts at `n`, so a page that is exactly full may be cut.
"""

import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from replicator import strict_json
from replicator.errors import RegistryError
from replicator.model import Digest, Operation
from replicator.registry.answers import Reply
from replicator.registry.capabilities import Capabilities
from replicator.registry.endpoint import quoted
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.link import next_page
from replicator.registry.listed_digests import told_digests
from replicator.registry.origin import Target
from replicator.registry.scope import Scope

_PAGE = 4 * 1024 * 1024
_MOST_PAGES = 10_000
_MOST_DIGESTS = 1_000_000
_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})


@dataclass(frozen=True, slots=True, kw_only=True)
class List:
    """Which list is read: `first` is its URL without a query, `key` the field of its answers that holds the names."""

    operation: Operation
    first: Target
    scopes: tuple[Scope, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Page:
    """One answer and its names; `asked` is how many it may have at most, None where the registry chose."""

    request: Request
    reply: Reply
    names: tuple[str, ...]
    asked: int | None = None

    @property
    def may_be_cut(self) -> bool:
        """True when there may be more although no link says so: exactly as many names as were asked for."""
        return self.asked is not None and len(self.names) == self.asked


def goes_on(before: Sequence[str], after: Sequence[str]) -> bool:
    """Say whether `after` can be trusted to be what follows `before` in a list that is in order.

    By code point or without case, as the specification has it. A registry that does not heed `last`, or lists in no
    order, is found out by a name that does not lie behind all others.
    """
    both = [*before, *after]
    return _rises(both) or _rises([name.lower() for name in both])


def _rises(names: Sequence[str]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(names)) and len(set(names)) == len(names)


class Pages:
    """Reads one list. What ends without an error is whole, as far as a registry's own words can tell."""

    def __init__(self, exchange: Exchange, capabilities: Capabilities, wanted: List) -> None:
        self._exchange = exchange
        self._capabilities = capabilities
        self._list = wanted
        self._linked = False
        self._links: set[str] = set()
        self._known: set[str] = set()
        self.was_cut = False
        """Whether a page was full and its registry did not say whether more follows."""
        self.digests: dict[str, Digest | None] = {}
        """What the names read so far stand for, where the registry told it."""

    async def read(self) -> AsyncIterator[Page]:
        """Yield the pages, each without the names of those before it where one had to be asked for again."""
        page: Page | None = await self._begin()
        pages = 0
        while page is not None:
            pages += 1
            if pages > _MOST_PAGES:
                raise self._endless(page)
            yield self._news(page)
            page = await self._after(page)

    async def _begin(self) -> Page:
        size = self._capabilities.page_size
        if size is None:
            return self._checked(await self._ask(None))
        request, reply = await self._ask(size)
        if reply.status == HTTPStatus.BAD_REQUEST:
            # Some refuse a page size they find too large.
            request, reply = await self._ask(None)
            if reply.status == HTTPStatus.OK:
                self._capabilities.page_refused()
            return self._checked((request, reply))
        return self._checked((request, reply), size)

    def _news(self, page: Page) -> Page:
        if next_page(page.reply.fields.all("Link")) is not None:
            self._linked = True
        if self._linked and not self._known:
            return page  # whoever links tells its own end, so that nothing need be kept
        news = tuple(name for name in page.names if name not in self._known)
        self._known.update(news)
        return Page(page.request, page.reply, news)

    async def _after(self, page: Page) -> Page | None:
        link = next_page(page.reply.fields.all("Link"))
        if link is not None:
            return await self._follow(page, link)
        if self._linked or not page.may_be_cut:
            return None
        self.was_cut = True
        if goes_on(page.names, ()):
            request, reply = await self._ask(page.asked, last=page.names[-1])
            if reply.status not in _REFUSED:
                following = self._checked((request, reply), page.asked)
                if self._known.isdisjoint(following.names) and goes_on(page.names, following.names):
                    return following
        return await self._more_at_once()

    async def _more_at_once(self) -> Page:
        """Ask for twice the names known: an answer with fewer is whole. Where that is too many, for all of them."""
        size = 2 * len(self._known)
        request, reply = await self._ask(size)
        if reply.status not in _REFUSED:
            return self._checked((request, reply), size)
        request, reply = await self._ask(None)
        return self._checked((request, reply))

    async def _follow(self, page: Page, link: str) -> Page:
        target = self._exchange.reach.page(page.reply.target, link)
        if target.text in self._links:
            raise self._endless(page)
        self._links.add(target.text)
        return self._checked(await self._get(target))

    async def _ask(self, size: int | None, last: str | None = None) -> tuple[Request, Reply]:
        target = self._list.first
        if size is not None:
            target = target.with_query(f"n={size}")
        if last is not None:
            target = target.with_query(f"last={quoted(last)}")
        return await self._get(target)

    async def _get(self, target: Target) -> tuple[Request, Reply]:
        request = Request(operation=self._list.operation, method="GET", target=target, scopes=self._list.scopes)
        return request, await self._exchange.ask(request, limit=_PAGE)

    def _checked(self, exchanged: tuple[Request, Reply], asked: int | None = None) -> Page:
        request, reply = exchanged
        if reply.status != HTTPStatus.OK:
            raise self._exchange.failure(request, reply)
        return Page(request, reply, tuple(self._names(request, reply)), asked)

    def _names(self, request: Request, reply: Reply) -> list[str]:
        try:
            document = strict_json.loads(reply.body, limit=_PAGE)
        except strict_json.Invalid as error:
            raise self._exchange.unexpected(request, reply, f"but {error}") from error
        self.digests.update(told_digests(document))
        if len(self.digests) > _MOST_DIGESTS:
            raise self._exchange.unexpected(request, reply, f"with the digests of more than {_MOST_DIGESTS} tags")
        names = document.get(self._list.key) if isinstance(document, dict) else document
        if names is None and isinstance(document, dict):
            return []
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._exchange.unexpected(request, reply, f"but not with a list of {self._list.key}")
        return names

    def _endless(self, page: Page) -> RegistryError:
        return self._exchange.unexpected(page.request, page.reply, "and the list does not come to an end")
