"""Blobs: mount and upload (distribution-spec "Pushing blobs", "Mounting a blob"; U1-U5, U8)."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

import anyio

from replicator.clock import Clock
from replicator.errors import AccessDenied, ContentError, NameInvalid, Reason, RegistryError
from replicator.model import Descriptor, Digest, Operation, Repository
from replicator.registry import scope
from replicator.registry.answers import Reply
from replicator.registry.blobs import Blobs
from replicator.registry.endpoint import quoted
from replicator.registry.exchange import Exchange
from replicator.registry.http import UNKNOWN_OUTCOME_SECONDS, Request, is_outcome_unknown
from replicator.registry.ladder import Ladder
from replicator.registry.manifests import DIGEST_FIELD
from replicator.registry.origin import Target
from replicator.registry.outgoing import BodyFailed

Body = Callable[[], AsyncIterator[bytes]]
"""Opens the bytes to send, from the first one, each time it is called."""
_CANCEL_SECONDS = 5.0
_SMALL = 64 * 1024
_CANNOT_MOUNT = frozenset({400, 401, 403, 404, 405})
_TAKEN = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT})


@dataclass(frozen=True, slots=True)
class UploadSession:
    """An upload that a registry has opened, at the opaque place it named last."""

    repository: Repository
    target: Target


class Uploads:
    """Writes blobs to one registry."""

    def __init__(self, exchange: Exchange, blobs: Blobs, clock: Clock) -> None:
        self._exchange = exchange
        self._blobs = blobs
        self._ladder = Ladder(clock)
        self._mounts_proven = False

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
        return self._session(request, reply, repository)

    async def mount(self, repository: Repository, descriptor: Descriptor, source: Repository) -> UploadSession | None:
        """Make a blob of `source` appear in `repository` without sending it; None when that was done.

        Else the session in which it can be sent.
        """
        endpoint = self._exchange.endpoint
        query = f"mount={quoted(descriptor.digest)}&from={quoted(endpoint.named(source))}"
        request = Request(
            operation=Operation.BLOB_MOUNT,
            method="POST",
            target=endpoint.uploads(repository).with_query(query),
            scopes=scope.merge((*scope.push(repository), *scope.pull(source))),
        )
        try:
            reply = await self._exchange.ask(request)
        except AccessDenied:
            return await self.start(repository)
        if reply.status == HTTPStatus.CREATED and await self._is_mounted(repository, descriptor):
            return None
        if reply.status == HTTPStatus.ACCEPTED:
            return self._session(request, reply, repository)
        if reply.status == HTTPStatus.CREATED or reply.status in _CANNOT_MOUNT:
            return await self.start(repository)
        raise self._exchange.failure(request, reply)

    async def send(
        self, repository: Repository, descriptor: Descriptor, body: Body, session: UploadSession | None = None
    ) -> None:
        """Send a blob; returns once the registry is known to hold it. What `body` raises comes out as it is."""
        try:
            await self._send(descriptor, body, session or await self.start(repository))
        except BodyFailed as failed:
            error = failed.error
        else:
            return
        raise error

    async def cancel(self, session: UploadSession) -> None:
        """Give a session up, if the registry listens; never waits longer than 5 s, also while being cancelled."""
        request = Request(
            operation=Operation.UPLOAD_CANCEL,
            method="DELETE",
            target=session.target,
            scopes=scope.delete(session.repository),
        )
        with anyio.move_on_after(_CANCEL_SECONDS, shield=True), contextlib.suppress(RegistryError):
            await self._exchange.ask(request)

    async def _send(self, descriptor: Descriptor, body: Body, session: UploadSession) -> None:
        streamed = self._ladder.is_streamed(descriptor.size)
        try:
            await self._attempt(descriptor, body, session, streamed=streamed)
        except RegistryError as error:
            refusal = error
        else:
            if not streamed:
                self._ladder.put_worked()
            return
        stepped_down = not streamed and self._ladder.proves_refusal(refusal)
        if not stepped_down and refusal.status != HTTPStatus.UNAUTHORIZED:
            raise refusal
        # After a 401 the token is gone, and starting anew fetches another one.
        again = await self.start(session.repository)
        await self._attempt(descriptor, body, again, streamed=streamed or stepped_down)
        if stepped_down:
            self._ladder.stream_worked(descriptor.size, refusal)

    async def _attempt(self, descriptor: Descriptor, body: Body, session: UploadSession, *, streamed: bool) -> None:
        last = session
        try:
            if streamed:
                last = await self._patch(descriptor, body, session)
                await self._finish(descriptor, last, None)
            else:
                await self._finish(descriptor, session, body)
        except BaseException:
            await self.cancel(last)
            raise

    async def _patch(self, descriptor: Descriptor, body: Body, session: UploadSession) -> UploadSession:
        request = Request(
            operation=Operation.UPLOAD_SEND,
            method="PATCH",
            target=session.target,
            scopes=scope.push(session.repository),
        )
        reply = await self._transfer(request, body, descriptor.size)
        if reply.status not in _TAKEN:
            raise self._exchange.failure(request, reply)
        return self._session(request, reply, session.repository)

    async def _finish(self, descriptor: Descriptor, session: UploadSession, body: Body | None) -> None:
        """Close the session with the digest, sending the bytes along unless they are there already."""
        request = Request(
            operation=Operation.UPLOAD_SEND if body else Operation.UPLOAD_FINISH,
            method="PUT",
            target=session.target.with_query(f"digest={quoted(descriptor.digest)}"),
            scopes=scope.push(session.repository),
        )
        try:
            if body is None:
                reply = await self._exchange.ask(request)
            else:
                reply = await self._transfer(request, body, descriptor.size)
        except RegistryError as error:
            if not is_outcome_unknown(error) or not await self._arrived(session.repository, descriptor):
                raise
            return
        if reply.status == HTTPStatus.CREATED:
            self._check_digest(reply, descriptor)
        elif reply.status in _TAKEN:
            if not await self._blobs.has(session.repository, descriptor):
                raise self._exchange.unexpected(request, reply, "but does not hold the blob")
        elif reply.status < HTTPStatus.INTERNAL_SERVER_ERROR or not await self._arrived(
            session.repository, descriptor
        ):
            raise self._exchange.failure(request, reply)

    async def _transfer(self, request: Request, body: Body, size: int) -> Reply:
        if size > _SMALL:
            return await self._exchange.upload(request, body(), size)
        headers = {"Content-Type": "application/octet-stream"}
        data = await self._gathered(body(), size)
        return await self._exchange.ask(replace(request, headers=headers, body=data))

    async def _gathered(self, chunks: AsyncIterator[bytes], size: int) -> bytes:
        data = bytearray()
        try:
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

    async def _is_mounted(self, repository: Repository, descriptor: Descriptor) -> bool:
        # Some registries answer 201 and do nothing: looked at until one mount was seen to work.
        if not self._mounts_proven:
            self._mounts_proven = await self._blobs.has(repository, descriptor)
        return self._mounts_proven

    async def _arrived(self, repository: Repository, descriptor: Descriptor) -> bool:
        with contextlib.suppress(RegistryError, ContentError), anyio.move_on_after(UNKNOWN_OUTCOME_SECONDS):
            return await self._blobs.has(repository, descriptor)
        return False

    def _session(self, request: Request, reply: Reply, repository: Repository) -> UploadSession:
        location = reply.fields.get("Location")
        if location is None:
            raise self._exchange.unexpected(request, reply, "without saying where the upload goes on")
        return UploadSession(repository, self._exchange.reach.upload(reply.target, location))

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
