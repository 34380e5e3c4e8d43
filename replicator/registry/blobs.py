"""Blobs: stat and read (distribution-spec "Pulling blobs"; B1-B6a). Nothing is hashed here: the caller does that."""

import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from replicator.errors import ContentError, Reason, RegistryError
from replicator.model import Descriptor, Operation, Repository
from replicator.registry import scope
from replicator.registry.answers import Reply
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.incoming import Answer
from replicator.registry.ranges import asked, parse_content_range

_NO_HEAD = frozenset({403, 405, 501})


class BlobReader:
    """The bytes of one blob from an offset on: never more than its descriptor promises, and never silently fewer."""

    def __init__(self, registry: str, name: str, answer: Answer | None, *, skip: int, size: int) -> None:
        self._registry = registry
        self._name = name
        self._answer = answer
        self._skip = skip
        self._size = size

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield raw bytes in order, up to 512 KiB at a time, unverified.

        Raises ContentError when there are more than promised, RegistryError (temporary) when the body ends early.
        """
        if self._answer is None:
            return
        seen = 0
        async for chunk in self._answer.chunks():
            before, seen = seen, seen + len(chunk)
            if seen > self._skip + self._size:
                raise ContentError(f"{self._registry}: {self._name} is longer than it says", registry=self._registry)
            wanted = chunk if before >= self._skip else chunk[self._skip - before :]
            if wanted:
                yield wanted
        if seen < self._skip + self._size:
            raise RegistryError(
                f"{self._registry}: {self._name} ended after {max(0, seen - self._skip)} of {self._size} bytes",
                registry=self._registry,
                reason=Reason.NETWORK,
                temporary=True,
            )


class Blobs:
    """The blobs of one registry."""

    def __init__(self, exchange: Exchange, capabilities: Capabilities) -> None:
        self._exchange = exchange
        self._capabilities = capabilities

    async def has(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether `repository` holds the blob. Raises ContentError when it holds one of another size."""
        request = self._request(Operation.BLOB_STAT, "HEAD", repository, descriptor)
        reply = await self._exchange.ask(request)
        if reply.status == HTTPStatus.NOT_FOUND:
            return False
        if reply.status == HTTPStatus.OK and reply.fields.length() is not None:
            self._check_size(repository, descriptor, reply.fields.length())
            return True
        if reply.status == HTTPStatus.OK or reply.status in _NO_HEAD:
            return await self._has_by_reading(repository, descriptor)
        raise self._exchange.failure(request, reply)

    @contextlib.asynccontextmanager
    async def open(
        self, repository: Repository, descriptor: Descriptor, offset: int, length: int | None = None
    ) -> AsyncIterator[BlobReader]:
        """Open `length` bytes of the blob from `offset` on (None: all that follow).

        Raises NotFound, ContentError for another size, and for a `length` RegistryError where parts are not served.
        """
        end = descriptor.size if length is None else offset + length
        if not 0 <= offset <= end <= descriptor.size:
            raise ValueError(f"bytes {offset} to {end} are outside a blob of {descriptor.size} bytes")
        name = f"blob {descriptor.digest} of {repository}"
        if offset and offset == end:
            yield BlobReader(self._exchange.registry, name, None, skip=0, size=0)
            return
        whole = offset == 0 and length is None
        headers = {} if whole else {"Range": asked(offset, end)}
        request = self._request(Operation.BLOB_READ, "GET", repository, descriptor, headers)
        async with contextlib.AsyncExitStack() as stack:
            answer = await stack.enter_async_context(self._exchange.open(request))
            if answer.status == HTTPStatus.FORBIDDEN and answer.target.origin != self._exchange.endpoint.origin:
                # The link to the storage has run out: the registry gives a new one.
                answer.close()
                answer = await stack.enter_async_context(self._exchange.open(request))
            if answer.status == HTTPStatus.OK:
                self._check_size(repository, descriptor, answer.fields.length())
                skip = offset
                if not whole:
                    self._capabilities.learn(Capability.RANGES, holds=False)
                if length is not None:
                    raise RegistryError(
                        f"{self._exchange.registry}: {name} comes only as a whole, though some of it was asked for",
                        registry=self._exchange.registry,
                        reason=Reason.UNSUPPORTED,
                    )
            elif answer.status == HTTPStatus.PARTIAL_CONTENT and not whole:
                self._check_part(request, answer, (offset, end, descriptor.size))
                self._capabilities.learn(Capability.RANGES, holds=True)
                skip = 0
            else:
                raise self._exchange.failure(request, await answer.reply(64 * 1024))
            yield BlobReader(self._exchange.registry, name, answer, skip=skip, size=end - offset)

    def _check_part(self, request: Request, answer: Answer, part: tuple[int, int, int]) -> None:
        ranges = answer.fields.all("Content-Range")
        served = parse_content_range(ranges[0]) if len(ranges) == 1 else None
        if served is None or not served.is_exactly(*part):
            reply = Reply(answer.target, answer.status, answer.fields, b"")
            raise self._exchange.unexpected(request, reply, f"but not with the bytes from {part[0]} to {part[1]}")

    async def _has_by_reading(self, repository: Repository, descriptor: Descriptor) -> bool:
        headers = {"Range": "bytes=0-0"} if descriptor.size else {}
        request = self._request(Operation.BLOB_STAT, "GET", repository, descriptor, headers)
        async with self._exchange.open(request) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return False
            if answer.status == HTTPStatus.OK:
                self._check_size(repository, descriptor, answer.fields.length())
                return True
            if answer.status == HTTPStatus.PARTIAL_CONTENT:
                served = parse_content_range(answer.fields.get("Content-Range") or "")
                self._check_size(repository, descriptor, None if served is None else served.total)
                return True
            raise self._exchange.failure(request, await answer.reply(64 * 1024))

    def _check_size(self, repository: Repository, descriptor: Descriptor, size: int | None) -> None:
        if size is not None and size != descriptor.size:
            raise ContentError(
                f"{self._exchange.registry}: blob {descriptor.digest} of {repository} has {size} bytes, "
                f"its manifest says {descriptor.size}",
                registry=self._exchange.registry,
            )

    def _request(
        self,
        operation: Operation,
        method: str,
        repository: Repository,
        descriptor: Descriptor,
        headers: dict[str, str] | None = None,
    ) -> Request:
        return Request(
            operation=operation,
            method=method,
            target=self._exchange.endpoint.blob(repository, descriptor.digest),
            scopes=scope.pull(repository),
            headers=headers or {},
        )
