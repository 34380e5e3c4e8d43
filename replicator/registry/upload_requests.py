"""The requests of an upload, one by one (distribution-spec "Pushing blobs"; U2-U7). No policy here."""

import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import anyio

from replicator.errors import ContentError, NameInvalid, Reason, RegistryError
from replicator.model import Descriptor, Digest, Operation, Repository
from replicator.registry import scope
from replicator.registry.answers import Reply
from replicator.registry.blobs import Blobs
from replicator.registry.endpoint import quoted
from replicator.registry.exchange import Exchange
from replicator.registry.http import UNKNOWN_OUTCOME_SECONDS, Request, is_outcome_unknown
from replicator.registry.manifests import DIGEST_FIELD
from replicator.registry.origin import Target
from replicator.registry.outgoing import OfBody
from replicator.registry.pieces import Pieces

Body = Callable[[], AsyncIterator[bytes]]
"""Opens the bytes to send, from the first one, each time it is called."""
_CANCEL_SECONDS = 5.0
_SMALL = 64 * 1024
_MOST_CHUNK_MIN = 1024 * 1024 * 1024
_HELD = re.compile(r"(?:bytes=)?0-([0-9]{1,19})")
_DIGITS = re.compile(r"[0-9]{1,19}")
TAKEN = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})
"""Answers of an upload that mean well."""


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload that a registry has opened, at the opaque place it named last.

    `chunk_min`: the fewest bytes of a chunk that is not the last.
    """

    repository: Repository
    target: Target = field(repr=False)
    chunk_min: int = 0


class UploadRequests:
    """What can be asked of one registry about an upload."""

    def __init__(self, exchange: Exchange, blobs: Blobs) -> None:
        self._exchange = exchange
        self._blobs = blobs
        self._kept = {"sha256"}

    async def start(self, repository: Repository) -> UploadSession:
        """Open an upload session."""
        request = Request(
            operation=Operation.UPLOAD_START,
            method="POST",
            target=self._exchange.endpoint.uploads(repository),
            scopes=scope.push(repository),
        )
        try:
            reply = await self._exchange.ask(request)
        except RegistryError as error:
            if error.status or error.reason != Reason.NETWORK:
                raise
            # A kept connection may have ended just now, and a second session does no harm.
            reply = await self._exchange.ask(request)
        if reply.status != HTTPStatus.ACCEPTED:
            raise self._exchange.failure(request, reply)
        return self.session(request, reply, repository)

    async def status(self, session: UploadSession) -> tuple[UploadSession, int]:
        """Return where the upload goes on and how many bytes the registry says it has: 0 also where it does not say.

        Not for a session whose registry ends a cut upload at any touch (U7).
        """
        request = Request(
            operation=Operation.UPLOAD_STATUS,
            method="GET",
            target=session.target,
            scopes=scope.push(session.repository),
        )
        reply = await self._exchange.ask(request)
        if reply.status not in TAKEN:
            raise self._exchange.failure(request, reply)
        match = _HELD.fullmatch((reply.fields.get("Range") or "").strip())
        last = 0 if match is None else int(match[1])
        if reply.fields.get("Location") is not None:
            session = replace(self.session(request, reply, session.repository), chunk_min=session.chunk_min)
        # 0-0 is said of nothing and of one byte.
        return session, last + 1 if last else 0

    def reopened(self, repository: Repository, location: str) -> UploadSession:
        """Return the session at a place that was kept. Raises RegistryError when uploads may not go there."""
        return UploadSession(
            repository, self._exchange.reach.upload(self._exchange.endpoint.uploads(repository), location)
        )

    async def patch(
        self, session: UploadSession, chunks: AsyncIterator[bytes], size: int, first: int | None = None
    ) -> UploadSession:
        """Send `size` bytes; `first` is their place in the blob, None for all of it as one stream."""
        headers = {} if first is None else {"Content-Range": f"{first}-{first + size - 1}"}
        request = Request(
            operation=Operation.UPLOAD_SEND,
            method="PATCH",
            target=session.target,
            scopes=scope.push(session.repository),
            headers=headers,
        )
        reply = await self._transfer(request, chunks, size)
        if reply.status not in TAKEN:
            raise self._exchange.failure(request, reply)
        return replace(self.session(request, reply, session.repository), chunk_min=session.chunk_min)

    async def patch_in_chunks(
        self,
        session: UploadSession,
        chunks: AsyncIterator[bytes],
        part: range,
        length: int,
        then: Callable[[UploadSession, int], Awaitable[None]],
    ) -> UploadSession:
        """Send the bytes `part` of the blob, all that `chunks` has, `length` at a time.

        `then` is told where the upload goes on after each, and from which byte.
        """
        pieces, first = Pieces(chunks), part.start
        try:
            while first < part.stop:
                end = min(first + length, part.stop)
                piece = pieces.rest() if end == part.stop else pieces.take(end - first)
                session = await self.patch(session, piece, end - first, first)
                first = end
                await then(session, first)
        finally:
            await pieces.close()
        return session

    async def finish(
        self, session: UploadSession, descriptor: Descriptor, chunks: AsyncIterator[bytes] | None = None
    ) -> None:
        """Close the session with the digest, sending the bytes along unless they are there already."""
        request = Request(
            operation=Operation.UPLOAD_FINISH if chunks is None else Operation.UPLOAD_SEND,
            method="PUT",
            target=session.target.with_query(f"digest={quoted(descriptor.digest)}"),
            scopes=scope.push(session.repository),
        )
        try:
            if chunks is None:
                reply = await self._exchange.ask(request)
            else:
                reply = await self._transfer(request, chunks, descriptor.size)
        except RegistryError as error:
            if not is_outcome_unknown(error) or not await self.arrived(session.repository, descriptor):
                raise
            return
        if reply.status == HTTPStatus.CREATED:
            self._check_digest(reply, descriptor)
            await self._check_kept(session.repository, descriptor)
        elif reply.status in TAKEN:
            if not await self._blobs.has(session.repository, descriptor):
                raise self._exchange.unexpected(request, reply, "but does not hold the blob")
        elif reply.status < HTTPStatus.INTERNAL_SERVER_ERROR or not await self.arrived(
            session.repository, descriptor
        ):
            raise self._exchange.failure(request, reply)

    async def cancel(self, session: UploadSession) -> None:
        """Give a session up, if the registry listens; never waits longer than 5 s, also while being cancelled."""
        with anyio.move_on_after(_CANCEL_SECONDS, shield=True), contextlib.suppress(RegistryError):
            if await self._cancelled(session) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                # Distribution 3 after a cut: the place is from before the bytes that it has by now.
                session, _ = await self.status(session)
                await self._cancelled(session)

    async def _cancelled(self, session: UploadSession) -> int:
        request = Request(
            operation=Operation.UPLOAD_CANCEL,
            method="DELETE",
            target=session.target,
            scopes=scope.delete(session.repository),
        )
        return (await self._exchange.ask(request)).status

    async def arrived(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether the blob is there after all, though the answer was lost (U8)."""
        with contextlib.suppress(RegistryError, ContentError), anyio.move_on_after(UNKNOWN_OUTCOME_SECONDS):
            return await self._blobs.has(repository, descriptor)
        return False

    def session(self, request: Request, reply: Reply, repository: Repository) -> UploadSession:
        """Return where the upload goes on, as `reply` says."""
        location = reply.fields.get("Location")
        if location is None:
            raise self._exchange.unexpected(request, reply, "without saying where the upload goes on")
        least = (reply.fields.get("OCI-Chunk-Min-Length") or "").strip()
        chunk_min = min(int(least), _MOST_CHUNK_MIN) if _DIGITS.fullmatch(least) else 0
        return UploadSession(repository, self._exchange.reach.upload(reply.target, location), chunk_min)

    async def _transfer(self, request: Request, chunks: AsyncIterator[bytes], size: int) -> Reply:
        if size > _SMALL:
            return await self._exchange.upload(request, chunks, size)
        data = await self._gathered(chunks, size)
        headers = {"Content-Type": "application/octet-stream", **request.headers}
        return await self._exchange.ask(replace(request, headers=headers, body=data))

    async def _gathered(self, chunks: AsyncIterator[bytes], size: int) -> bytes:
        data = bytearray()
        try:
            with OfBody():
                async for chunk in chunks:
                    data += chunk
                    if len(data) > size:
                        break
        finally:
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()
        if len(data) != size:
            problem = f"{self._exchange.registry}: a blob to send has not the {size} bytes that its manifest says"
            raise ContentError(problem, registry=self._exchange.registry)
        return bytes(data)

    async def _check_kept(self, repository: Repository, descriptor: Descriptor) -> None:
        # Some registries answer 201 to a digest of sha512 and never find the blob again: looked at once.
        algorithm = descriptor.digest.algorithm
        if algorithm in self._kept:
            return
        if not await self._blobs.has(repository, descriptor):
            raise RegistryError(
                f"{self._exchange.registry}: takes blobs with digests of {algorithm}, and does not keep them",
                registry=self._exchange.registry,
                reason=Reason.UNSUPPORTED,
            )
        self._kept.add(algorithm)

    def _check_digest(self, reply: Reply, descriptor: Descriptor) -> None:
        try:
            stored = Digest.parse((reply.fields.get(DIGEST_FIELD) or "").strip())
        except NameInvalid:
            return
        if stored.algorithm == descriptor.digest.algorithm and stored != descriptor.digest:
            raise ContentError(
                f"{self._exchange.registry}: blob {descriptor.digest} was sent, the registry stored {stored}",
                registry=self._exchange.registry,
            )
