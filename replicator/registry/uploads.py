"""Blobs: mount and upload (distribution-spec "Pushing blobs", "Mounting a blob"; U1-U9)."""

from dataclasses import dataclass
from http import HTTPStatus

from replicator.errors import AccessDenied, RegistryError
from replicator.model import Descriptor, Operation, Repository
from replicator.registry import scope
from replicator.registry.blobs import Blobs
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.endpoint import quoted
from replicator.registry.exchange import Exchange
from replicator.registry.http import Request
from replicator.registry.outgoing import BodyFailed
from replicator.registry.pieces import Pieces
from replicator.registry.upload_forms import UploadForm, UploadMode
from replicator.registry.upload_requests import Body, UploadRequests, UploadSession

_CANNOT_MOUNT = frozenset({400, 401, 403, 404, 405})


@dataclass(slots=True)
class _Way:
    """Where an upload goes on: the place changes with every answer."""

    session: UploadSession


class Uploads:
    """Writes blobs to one registry."""

    def __init__(self, exchange: Exchange, blobs: Blobs, capabilities: Capabilities) -> None:
        self._exchange = exchange
        self._blobs = blobs
        self._requests = UploadRequests(exchange, blobs)
        self._capabilities = capabilities

    async def start(self, repository: Repository) -> UploadSession:
        """Open an upload session."""
        return await self._requests.start(repository)

    async def mount(self, repository: Repository, descriptor: Descriptor, source: Repository) -> UploadSession | None:
        """Make a blob of `source` appear in `repository` without sending it; None when that was done.

        Else the session in which it can be sent.
        """
        if self._capabilities.holds(Capability.MOUNT) is False:
            return await self.start(repository)
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
            return self._requests.session(request, reply, repository)
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
        await self._requests.cancel(session)

    async def _send(self, descriptor: Descriptor, body: Body, session: UploadSession) -> None:
        forms, size = self._capabilities.uploads, descriptor.size
        refusals: dict[UploadForm, RegistryError] = {}
        renewed = False
        form = forms.best(size)
        while form is not None:
            try:
                await self._attempt(descriptor, body, session, form)
            except RegistryError as error:
                if forms.proves_refusal(form, error):
                    refusals[form] = error
                elif error.status == HTTPStatus.UNAUTHORIZED and not renewed:
                    # The token is gone, and starting anew fetches another one.
                    renewed = True
                else:
                    raise
                form = forms.best(size, refusals)
                if form is None:
                    raise
                session = await self.start(session.repository)
            else:
                forms.worked(form, size, refusals)
                return

    async def _attempt(self, descriptor: Descriptor, body: Body, session: UploadSession, form: UploadForm) -> None:
        way = _Way(session)
        try:
            if form.mode is UploadMode.PUT:
                await self._requests.finish(session, descriptor, body())
                return
            if form.mode is UploadMode.STREAM:
                way.session = await self._requests.patch(session, body(), descriptor.size)
            else:
                await self._send_chunks(way, descriptor, body, form)
            await self._requests.finish(way.session, descriptor)
        except BaseException:
            await self.cancel(way.session)
            raise

    async def _send_chunks(self, way: "_Way", descriptor: Descriptor, body: Body, form: UploadForm) -> None:
        length = self._capabilities.uploads.chunk_length(form, way.session.chunk_min)
        pieces, first = Pieces(body()), 0
        try:
            while first < descriptor.size:
                size = min(length, descriptor.size - first)
                is_last = first + size == descriptor.size
                part = pieces.rest() if is_last else pieces.take(size)
                way.session = await self._requests.patch(way.session, part, size, first)
                first += size
        finally:
            await pieces.close()

    async def _is_mounted(self, repository: Repository, descriptor: Descriptor) -> bool:
        # Some registries answer 201 and do nothing: looked at until one mount was seen to work.
        if self._capabilities.holds(Capability.MOUNT) is None:
            if not await self._blobs.has(repository, descriptor):
                return False
            self._capabilities.learn(Capability.MOUNT, holds=True)
        return True
