"""Uploads of the registry in memory that keep their bytes when they are cut (G10), as Distribution 3 does.

They go on by the client's own code: what it asks of an upload, request by request, is answered here as a registry
answers it over HTTP.
"""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol, cast
from urllib.parse import parse_qs

from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.model import Descriptor, Digest, Operation, Repository
from replicator.registry.answers import ERROR_BODY, Fields, Reply, failure, unexpected
from replicator.registry.blobs import Blobs
from replicator.registry.capabilities import Capabilities
from replicator.registry.endpoint import Endpoint
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.manifests import Manifests
from replicator.registry.outgoing import BodyFailed
from replicator.registry.probes import Probes
from replicator.registry.reach import Reach
from replicator.registry.referrers import Referrers
from replicator.registry.resumption import Resumer, Resumption
from replicator.registry.upload_requests import Body, UploadRequests, UploadSession
from replicator.registry.uploads import Uploads
from tests.unit.replication.model_answers import network_error
from tests.unit.replication.model_calls import Op

_PIECE = 4_000
_NOTHING = Descriptor("", Digest.of(b""), 0)


At = Callable[[Op, Repository, Digest, int], Awaitable[None]]
"""Lets the test step in."""


class Host(Protocol):
    """What the uploads need of their registry."""

    name: str
    capabilities: Capabilities
    corrupt: list[Digest]

    async def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether a repository has a blob."""
        ...

    async def start_upload(self, repository: Repository) -> UploadSession:
        """Open a session."""
        ...

    async def cancel_upload(self, session: UploadSession) -> None:
        """Give a session up."""
        ...

    def keep_blob(self, repository: Repository, digest: Digest, data: bytes) -> None:
        """Hold a blob."""
        ...


@dataclass(slots=True)
class Held:
    """What has come of one upload; `writer` is the request that may add to it, the last that began."""

    data: bytearray = field(default_factory=bytearray)
    writer: object = None


@dataclass(slots=True)
class ModelUploads:
    """The uploads of one registry, by the path of their place; and what went out of each blob, by repository.

    Of the bytes `sent` some were `lost`, as the line was cut under them. `unanswered`: the upload was done and its
    answer lost. `contested`: it was sent twice at once, or again while two daemons are at work (`shared`): one may
    have asked for it before the other had `ended`.
    """

    clock: Clock
    held: dict[str, Held] = field(default_factory=dict)
    sent: Counter[tuple[Repository, Digest]] = field(default_factory=Counter)
    lost: Counter[tuple[Repository, Digest]] = field(default_factory=Counter)
    unanswered: Counter[tuple[Repository, Digest]] = field(default_factory=Counter)
    contested: set[tuple[Repository, Digest]] = field(default_factory=set)
    under_way: Counter[tuple[Repository, Digest]] = field(default_factory=Counter)
    ended: set[tuple[Repository, Digest]] = field(default_factory=set)
    shared: bool = False

    async def send(
        self,
        host: Host,
        at: At,
        repository: Repository,
        descriptor: Descriptor,
        body: Body,
        session: UploadSession | None,
        resumption: Resumption,
    ) -> None:
        """Take a blob as the real client sends it."""
        blob = (repository, descriptor.digest)
        if self.under_way[blob] or (self.shared and blob in self.ended):
            self.contested.add(blob)
        self.under_way[blob] += 1
        try:
            client = self._client(host, at, repository, descriptor)
            await client.send(repository, descriptor, body, session, resumption)
        finally:
            self.under_way[blob] -= 1

    def _client(self, host: Host, at: At, repository: Repository, descriptor: Descriptor) -> Uploads:
        line, probing = (cast("Exchange", Line(self, host, at, repository, one)) for one in (descriptor, _NOTHING))
        able, blobs = host.capabilities, Blobs(line, host.capabilities)
        probes = Probes(
            Manifests(probing, able),
            Referrers(probing, able),
            UploadRequests(probing, Blobs(probing, able)),
            able,
            self.clock,
        )
        resumer = Resumer(UploadRequests(line, blobs), probes, able, self.clock)
        return Uploads(line, blobs, able, resumer)


class Line:
    """Stands for the Exchange of a client that sends one blob; what is sent of NOTHING is not counted."""

    def __init__(self, uploads: ModelUploads, host: Host, at: At, repository: Repository, blob: Descriptor) -> None:
        self.endpoint = Endpoint.of(f"http://{host.name}.example.com")
        self.reach = Reach(registry=host.name, origin=self.endpoint.origin)
        self.registry = host.name
        self._uploads = uploads
        self._host = host
        self._step = at
        self._repository = repository
        self._blob = blob
        self._key = (repository, blob.digest)

    async def ask(self, request: Request, *, limit: int = ERROR_BODY, follow: bool = True) -> Reply:
        """Answer a request."""
        del limit, follow
        answers: Mapping[str, Callable[[Request], Awaitable[Reply]]] = {
            Operation.UPLOAD_START: self._start,
            Operation.UPLOAD_STATUS: self._status,
            Operation.UPLOAD_CANCEL: self._cancel,
            Operation.BLOB_STAT: self._stat,
        }
        if request.operation in answers:
            return await answers[request.operation](request)
        return await self.upload(request, _pieces(request.body or b""), len(request.body or b""))

    async def upload(self, request: Request, chunks: AsyncIterator[bytes], size: int) -> Reply:
        """Take bytes and answer, or refuse them before they are read."""
        try:
            return await self._take(request, chunks, size)
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()

    def failure(self, request: Request, reply: Reply) -> RegistryError:
        """Return the error that `reply` means."""
        return failure(self.registry, request.operation, reply, now=self._uploads.clock.now())

    def unexpected(self, request: Request, reply: Reply, problem: str) -> RegistryError:
        """Return the error for an answer outside the protocol."""
        return unexpected(self.registry, request.operation, reply, problem)

    async def _start(self, request: Request) -> Reply:
        session = await self._host.start_upload(self._repository)
        return Reply(request.target, 202, Fields([("Location", session.target.path)]), b"")

    async def _status(self, request: Request) -> Reply:
        await self._at(Op.STATUS)
        return self._goes_on(request, 204)

    async def _cancel(self, request: Request) -> Reply:
        await self._host.cancel_upload(UploadSession(self._repository, request.target))
        return Reply(request.target, 204, Fields(), b"")

    async def _stat(self, request: Request) -> Reply:
        if not await self._host.has_blob(self._repository, self._blob):
            return Reply(request.target, 404, Fields(), b"")
        return Reply(request.target, 200, Fields([("Content-Length", str(self._blob.size))]), b"")

    async def _take(self, request: Request, chunks: AsyncIterator[bytes], size: int) -> Reply:
        await self._at(Op.SEND)
        held = self._uploads.held.get(request.target.path)
        if held is None:
            return _refused(request, 404, "BLOB_UPLOAD_UNKNOWN")
        first = request.headers.get("Content-Range", "").partition("-")[0]
        if first and int(first) != len(held.data):
            return _refused(request, 416, "")
        held.writer = writer = object()
        async with aclosing(_handed_over(self.registry, chunks, size)) as pieces:
            async for piece in pieces:
                await self._arrive(held, writer, piece)
        return self._goes_on(request, 202) if request.method == "PATCH" else await self._finish(request, held, size)

    async def _arrive(self, held: Held, writer: object, piece: bytes) -> None:
        if self._blob is not _NOTHING:
            self._uploads.sent[self._key] += len(piece)
        arrived = False
        try:
            await self._at(Op.GOT, len(held.data) + len(piece))
            arrived = held.writer is writer
        finally:
            if not arrived:
                self._uploads.lost[self._key] += len(piece)
        if not arrived:
            raise network_error(self.registry)
        held.data += piece

    async def _finish(self, request: Request, held: Held, size: int) -> Reply:
        digest = Digest.parse(parse_qs(request.target.query or "")["digest"][0])
        data = bytes(held.data)
        self._uploads.held.pop(request.target.path, None)
        if Digest.of(data, digest.algorithm) != digest:
            if size == len(data):
                # All in one request: nobody could think that the registry had the first bytes right.
                self._host.corrupt.append(digest)
            return _refused(request, 400, "DIGEST_INVALID")
        self._host.keep_blob(self._repository, digest, data)
        self._uploads.ended.add(self._key)
        try:
            await self._at(Op.SENT, len(data))
        except BaseException:
            self._uploads.unanswered[self._key] += 1
            raise
        return Reply(request.target, 201, Fields(), b"")

    def _goes_on(self, request: Request, status: int) -> Reply:
        held = self._uploads.held.get(request.target.path)
        if held is None:
            return _refused(request, 404, "BLOB_UPLOAD_UNKNOWN")
        place = [("Location", request.target.path), ("Range", f"0-{max(0, len(held.data) - 1)}")]
        return Reply(request.target, status, Fields(place), b"")

    async def _at(self, op: Op, offset: int = 0) -> None:
        await self._step(op, self._repository, self._blob.digest, offset)


def _refused(request: Request, status: int, code: str) -> Reply:
    body = f'{{"errors": [{{"code": "{code}", "message": ""}}]}}' if code else ""
    return Reply(request.target, status, Fields(), body.encode())


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE]


async def _handed_over(registry: str, chunks: AsyncIterator[bytes], size: int) -> AsyncGenerator[bytes, None]:
    """Yield what goes out, as the client's OutgoingBody does: the last piece only once `chunks` has ended well."""
    seen, last = 0, b""
    while True:
        try:
            piece = await anext(chunks, None)
        except Exception as error:
            raise BodyFailed(error) from error
        if piece is None:
            break
        seen += len(piece)
        if seen < size:
            yield piece
        else:
            last += piece
    if seen != size:
        raise ContentError(f"{registry}: a blob to send has {seen} bytes instead of {size}", registry=registry)
    if last:
        yield last
