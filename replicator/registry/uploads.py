"""Blobs: mount and upload (distribution-spec "Pushing blobs", "Mounting a blob"; U1-U9)."""

import contextlib
from dataclasses import dataclass
from http import HTTPStatus

from replicator.errors import AccessDenied, RegistryError
from replicator.model import Descriptor, Operation, Repository
from replicator.registry import scope
from replicator.registry.blobs import Blobs
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.endpoint import quoted
from replicator.registry.exchange import MOST_REFUSALS, Exchange
from replicator.registry.gate import is_passing
from replicator.registry.http import Request, is_outcome_unknown, is_trouble
from replicator.registry.outgoing import BodyFailed, is_wrong
from replicator.registry.resumption import Keeper, Resumer, Resumption
from replicator.registry.upload_forms import UploadForm, UploadMode
from replicator.registry.upload_requests import Body, UploadRequests, UploadSession

_CANNOT_MOUNT = frozenset({400, 401, 403, 404, 405})


class _Way:
    """Where an upload goes on: the place changes with every answer."""

    def __init__(self, session: UploadSession, resumption: Resumption | None) -> None:
        self.session = session
        self.resumption = resumption
        self._keeper = Keeper(resumption)

    @property
    def is_kept(self) -> bool:
        """Whether the upload will go on after a cut, a stop of the daemon or trouble at the source."""
        return self.resumption is not None and self.resumption.is_kept

    async def moved(self, session: UploadSession, position: int) -> None:
        """Take note of the place after a chunk."""
        self.session = session
        await self._keeper.after(session, position)


@dataclass(slots=True)
class _Chances:
    """What is worth another try within one upload, each once.

    After a 401 the token is gone, and starting anew fetches another one; `again`: after a cut. `refusals`: how often
    one for want of time is made good; the pause that goes with it is waited for at the gate.
    """

    again: bool
    renew: bool = True
    refusals: int = MOST_REFUSALS

    def take(self, error: RegistryError) -> bool:
        """Say whether to start anew after `error`."""
        if error.status == HTTPStatus.UNAUTHORIZED:
            taken, self.renew = self.renew, False
        elif is_passing(error):
            taken, self.refusals = self.refusals > 0, self.refusals - 1
        elif is_outcome_unknown(error):
            taken, self.again = self.again, False
        else:
            taken = False
        return taken


class Uploads:
    """Writes blobs to one registry."""

    def __init__(self, exchange: Exchange, blobs: Blobs, capabilities: Capabilities, resumer: Resumer) -> None:
        self._exchange = exchange
        self._blobs = blobs
        self._requests = UploadRequests(exchange, blobs)
        self._capabilities = capabilities
        self._resumer = resumer

    async def start(self, repository: Repository) -> UploadSession:
        """Open an upload session."""
        return await self._requests.start(repository)

    async def mount(
        self, repository: Repository, descriptor: Descriptor, source: Repository | None
    ) -> UploadSession | None:
        """Make a blob of `source` appear in `repository` without sending it; None when that was done.

        Else the session in which it can be sent. Without a source the registry is left to find the blob.
        """
        if self._capabilities.holds(Capability.MOUNT) is False:
            return await self.start(repository)
        endpoint = self._exchange.endpoint
        query = f"mount={quoted(descriptor.digest)}"
        if source is not None:
            query += f"&from={quoted(endpoint.named(source))}"
        request = Request(
            operation=Operation.BLOB_MOUNT,
            method="POST",
            target=endpoint.uploads(repository).with_query(query),
            scopes=scope.merge((*scope.push(repository), *(() if source is None else scope.pull(source)))),
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
        self,
        repository: Repository,
        descriptor: Descriptor,
        body: Body,
        session: UploadSession | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        """Send a blob; returns once the registry is known to hold it. What `body` raises comes out as it is.

        With a `resumption` an upload that was cut goes on, where the registry can, or starts again, once. However it
        ends, what was opened for it, `session` too, stays open only where it is kept.
        """
        try:
            async with contextlib.AsyncExitStack() as unused:
                if session is not None:
                    unused.push_async_callback(self.cancel, session)
                can_keep = resumption is not None and await self._resumer.can(repository)
                keeper = resumption if can_keep else None
                if keeper is not None and await self._kept_went_on(repository, descriptor, keeper):
                    await keeper.forget()
                    return
                unused.pop_all()
            session = session or await self.start(repository)
            await self._send(descriptor, body, session, resumption, keeper)
            if keeper is not None:
                await keeper.forget()
        except BodyFailed as failed:
            error = failed.error
        else:
            return
        raise error

    def reopened(self, repository: Repository, location: str) -> UploadSession:
        """Return the session at a place that was kept. Raises RegistryError when uploads may not go there."""
        return self._requests.reopened(repository, location)

    async def cancel(self, session: UploadSession) -> None:
        """Give a session up, if the registry listens; never waits longer than 5 s, also while being cancelled."""
        await self._requests.cancel(session)

    async def _kept_went_on(self, repository: Repository, descriptor: Descriptor, keeper: Resumption) -> bool:
        """Say whether an upload that was begun before went on to its end; one that cannot is given up."""
        kept = await keeper.kept()
        if kept is None:
            return False
        try:
            done = await self._resumer.go_on(kept, descriptor, keeper)
        except RegistryError as error:
            if 0 < error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            # This one upload may be broken for good: so it is where the registry still opens another.
            await self.cancel(await self.start(repository))
            done = error.status == 0 and await self._goes_on_now(kept, descriptor, keeper)
        if not done:
            await self._give_up(_Way(kept, keeper))
            keeper.started_again()
        return done

    async def _goes_on_now(self, kept: UploadSession, descriptor: Descriptor, keeper: Resumption) -> bool:
        """Try once more to go on with `kept`: the line may have been down, and stands since another was opened."""
        try:
            return await self._resumer.go_on(kept, descriptor, keeper)
        except RegistryError as error:
            if 0 < error.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return False

    async def _send(
        self,
        descriptor: Descriptor,
        body: Body,
        session: UploadSession,
        resumption: Resumption | None,
        keeper: Resumption | None,
    ) -> None:
        """Go down the forms of upload until one works; with a `keeper` one that is cut may go on."""
        forms, size = self._capabilities.uploads, descriptor.size
        refusals: dict[UploadForm, RegistryError] = {}
        chances = _Chances(again=resumption is not None)
        form = forms.best(size)
        while form is not None:
            way = _Way(session, keeper)
            try:
                await self._attempt(descriptor, body, way, form)
            except RegistryError as error:
                if await self._went_on(descriptor, way, error):
                    return
                if resumption is not None and error.status == 0:
                    resumption.started_again()
                if forms.proves_refusal(form, error, session.repository, descriptor):
                    refusals[form] = error
                elif not chances.take(error):
                    raise
                form = forms.best(size, refusals)
                if form is None:
                    raise
                session = await self.start(session.repository)
            else:
                forms.worked(form, size, refusals)
                return

    async def _attempt(self, descriptor: Descriptor, body: Body, way: "_Way", form: UploadForm) -> None:
        size = descriptor.size
        try:
            if way.resumption is not None:
                await way.resumption.keep(way.session, 0)
            if form.mode is UploadMode.PUT:
                await self._requests.finish(way.session, descriptor, body())
                return
            if form.mode is UploadMode.STREAM:
                way.session = await self._requests.patch(way.session, body(), size)
            else:
                length = self._capabilities.uploads.chunk_length(form, way.session.chunk_min)
                chunks, part = body(), range(size)
                await self._requests.patch_in_chunks(way.session, chunks, part, length, way.moved)
            await self._requests.finish(way.session, descriptor)
        except BaseException as error:
            if is_wrong(error) or not (isinstance(error, RegistryError) or way.is_kept):
                await self._give_up(way)
            raise

    async def _went_on(self, descriptor: Descriptor, way: "_Way", error: RegistryError) -> bool:
        """Say whether an upload that failed went on and is done; else it is given up."""
        done = False
        if way.resumption is not None and is_trouble(error):
            try:
                done = await self._resumer.go_on(way.session, descriptor, way.resumption)
            except BaseException as failed:
                if not (way.is_kept or is_wrong(failed)):  # what is wrong was given up
                    await self.cancel(way.session)
                raise
        if not done:
            await self._give_up(way)
        return done

    async def _give_up(self, way: "_Way") -> None:
        try:
            if way.resumption is not None:
                await way.resumption.forget()
        finally:
            await self.cancel(way.session)

    async def _is_mounted(self, repository: Repository, descriptor: Descriptor) -> bool:
        # Some registries answer 201 and do nothing: looked at until one mount was seen to work.
        if self._capabilities.holds(Capability.MOUNT) is None:
            if not await self._blobs.has(repository, descriptor):
                return False
            self._capabilities.learn(Capability.MOUNT, holds=True)
        return True
