"""Reads a list of a registry's own, page by page, by the registry's own client."""

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from replicator import strict_json
from replicator.model import Operation, Repository
from replicator.registry.answers import Reply
from replicator.registry.capabilities import Capabilities, DigestList
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.link import next_page
from replicator.registry.origin import Target
from replicator.registry.own_lists.form import Form, NotAsExpected, Told

_PAGE = 4 * 1024 * 1024
_MOST_PAGES = 10_000
_MOST_ENTRIES = 1_000_000
_V = TypeVar("_V")


class PagedList:
    """One kind of list of one registry."""

    def __init__(self, form: Form, exchange: Exchange, capabilities: Capabilities) -> None:
        self._form = form
        self._exchange = exchange
        self._capabilities = capabilities
        self._unsized = False

    @property
    def kind(self) -> DigestList:
        """Which list it is."""
        return self._form.kind

    def likely(self) -> bool:
        """Say whether the registry asks for logins as those do that have such a list."""
        return self._form.suits(self._exchange.challenged)

    def reaches(self, repository: Repository) -> bool:
        """Say whether a repository of that name can be listed."""
        return self._form.reaches(repository)

    async def read(self, repository: Repository) -> list[Told]:
        """Return what all pages tell. Raises RegistryError, for anything that is not as expected too."""
        request, reply = await self._begin(repository)
        first, asked = request.target, {request.target.text}
        told: list[Told] = []
        while True:
            document = self._document(request, reply)
            told += self._expected(request, reply, partial(self._form.told, document, repository))
            target = self._following(request, reply, document, first, len(asked) + 1)
            if target is None:
                return told
            if target.text in asked or len(asked) == _MOST_PAGES or len(told) > _MOST_ENTRIES:
                raise self._exchange.unexpected(request, reply, "and the list does not come to an end")
            asked.add(target.text)
            request, reply = await self._ask(repository, target)

    def _following(
        self, request: Request, reply: Reply, document: object, first: Target, number: int
    ) -> Target | None:
        """Return where the next page is, which is of that number; None behind the last one."""
        goes_on = self._form.goes_on
        if goes_on is not None:
            more = self._expected(request, reply, partial(goes_on, document))
            return first.with_query(f"page={number}") if more else None
        link = next_page(reply.fields.all("Link"))
        return None if link is None else self._exchange.reach.page(reply.target, link)

    async def _begin(self, repository: Repository) -> tuple[Request, Reply]:
        origin = self._exchange.endpoint.origin
        size = None if self._unsized else self._capabilities.page_size
        request, reply = await self._ask(repository, self._form.first(origin, repository, size))
        if reply.status != HTTPStatus.BAD_REQUEST or size is None:
            return request, reply
        self._unsized = True  # some refuse a page size they find too large
        return await self._ask(repository, self._form.first(origin, repository, None))

    async def _ask(self, repository: Repository, target: Target) -> tuple[Request, Reply]:
        request = Request(
            operation=Operation.TAGS_LIST,
            method="GET",
            target=target,
            scopes=self._form.scopes(repository),
            log_in=self._form.log_in,
        )
        return request, await self._exchange.ask(request, limit=_PAGE, follow=False)

    def _document(self, request: Request, reply: Reply) -> object:
        if reply.status != HTTPStatus.OK:
            raise self._exchange.failure(request, reply)
        try:
            return strict_json.loads(reply.body, limit=_PAGE)
        except strict_json.Invalid as error:
            raise self._exchange.unexpected(request, reply, f"but {error}") from error

    def _expected(self, request: Request, reply: Reply, read: Callable[[], _V]) -> _V:
        try:
            return read()
        except NotAsExpected as error:
            raise self._exchange.unexpected(request, reply, str(error)) from error
