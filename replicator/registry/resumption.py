"""Going on with an upload that was cut, from the offset that the registry itself names (U7, U8, G10).

Only where the registry is proven to keep the bytes (RESUME): at others any touch of a cut upload may end it, so its
status is never asked and the blob starts again.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, Protocol

from replicator.clock import Clock
from replicator.errors import ContentError, Reason, RegistryError
from replicator.model import Descriptor, Repository
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.http import is_trouble
from replicator.registry.outgoing import BodyFailed, is_wrong
from replicator.registry.probes import Probes
from replicator.registry.upload_requests import UploadRequests, UploadSession

_TRIES: Final = 4
"""Cuts in a row without a byte more at the registry after which the upload fails for now."""
_PAUSE: Final = 0.2
"""Seconds before the registry is asked: it must have seen that the connection is gone. Grows with each failure."""

_LOOKS: Final = 5
_LOOK_EVERY: Final = 0.1
_KEEP_EVERY: Final = 64 * 1024 * 1024


class Resumption(Protocol):
    """What whoever sends a large blob gives along, so that its upload can go on."""

    @property
    def is_kept(self) -> bool:
        """Whether the upload can be found again should it end here: it is kept where it outlives the sender."""
        ...

    async def kept(self) -> UploadSession | None:
        """Return where an upload of this blob goes on that was begun before."""
        ...

    async def keep(self, session: UploadSession, position: int) -> None:
        """Keep where the upload goes on; `position` bytes are known to be there."""
        ...

    async def forget(self) -> None:
        """Drop what is kept: the upload is over."""
        ...

    @property
    def sent(self) -> int:
        """Bytes from the first one on of which some may have been sent; the whole size when that is not known."""
        ...

    def can_verify(self, offset: int) -> bool:
        """Say whether the bytes from `offset` on can still be proven to be the blob's own."""
        ...

    def from_offset(self, offset: int) -> AsyncIterator[bytes]:
        """Open the bytes from `offset` on."""
        ...

    def went_on(self) -> None:
        """Take note that the upload went on where it had stopped."""
        ...

    def started_again(self) -> None:
        """Take note that the blob is sent again from its first byte."""
        ...


class Keeper:
    """Keeps where an upload in chunks goes on, now and then: not more often than every 64 MiB."""

    def __init__(self, resumption: Resumption | None) -> None:
        self._resumption = resumption
        self._kept = 0

    async def after(self, session: UploadSession, position: int) -> None:
        """Take note of a chunk that is there."""
        if self._resumption is not None and position - self._kept >= _KEEP_EVERY:
            self._kept = position
            await self._resumption.keep(session, position)


class Resumer:
    """Goes on with uploads to one registry."""

    def __init__(self, requests: UploadRequests, probes: Probes, capabilities: Capabilities, clock: Clock) -> None:
        self._requests = requests
        self._probes = probes
        self._capabilities = capabilities
        self._clock = clock

    async def can(self, repository: Repository) -> bool:
        """Say whether the registry keeps the bytes of an upload that was cut; found out once, in `repository`."""
        try:
            return bool(await self._probes.resumes(repository))
        except RegistryError:
            # The upload itself will tell what the trouble is.
            return False

    async def go_on(self, session: UploadSession, descriptor: Descriptor, resumption: Resumption) -> bool:
        """Send what the registry lacks; False when the blob must start again.

        Raises RegistryError when the line is cut again and again without a byte more, and what the body raises. An
        upload whose bytes turn out to be wrong is given up before.
        """
        failures, furthest = 0, 0
        while True:
            await self._clock.sleep(_PAUSE * (failures + 1))
            try:
                session, offset = await self._settled(session)
            except RegistryError as error:
                if not is_trouble(error):
                    # Gone: expired, or done and the answer lost.
                    return await self._requests.arrived(session.repository, descriptor)
                failures += 1
                if failures >= _TRIES:
                    raise
                continue
            if not await self._may_go_on(session, descriptor, resumption, offset):
                return False
            failures = 0 if offset > furthest else failures + 1
            furthest = max(furthest, offset)
            await resumption.keep(session, offset)
            try:
                await self._send_rest(session, descriptor, resumption, offset)
            except RegistryError as error:
                if not self._is_worth_more(error, failures):
                    return False
                if failures >= _TRIES:
                    raise
            else:
                return True

    async def _settled(self, session: UploadSession) -> tuple[UploadSession, int]:
        """Return what the registry has once it says the same twice: it may still be storing what came before."""
        session, offset = await self._requests.status(session)
        for _ in range(_LOOKS):
            before = offset
            await self._clock.sleep(_LOOK_EVERY)
            session, offset = await self._requests.status(session)
            if offset == before:
                break
        return session, offset

    def _is_worth_more(self, error: RegistryError, failures: int) -> bool:
        """Say whether to ask the registry again; one whose own word was not true is not believed any more."""
        if is_trouble(error):
            return True
        misplaced = error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if misplaced and failures < _TRIES:
            return True
        if misplaced or error.reason is Reason.DIGEST_MISMATCH:
            self._capabilities.learn(Capability.RESUME, holds=False)
        return False

    async def _may_go_on(
        self, session: UploadSession, descriptor: Descriptor, resumption: Resumption, offset: int
    ) -> bool:
        """Say whether the registry's word can be: `0-0` may be nothing or one byte, and no more than was sent."""
        if not 0 < offset <= min(descriptor.size, resumption.sent):
            return False
        # Without the hash of what went before, nobody but the registry can tell whether the blob became whole.
        return resumption.can_verify(offset) or bool(await self._probes.checks_digests(session.repository))

    async def _send_rest(
        self, session: UploadSession, descriptor: Descriptor, resumption: Resumption, offset: int
    ) -> None:
        resumption.went_on()
        forms, size = self._capabilities.uploads, descriptor.size
        form = forms.best(size)
        try:
            if offset < size:
                chunks, part = resumption.from_offset(offset), range(offset, size)
                length = forms.chunk_length(form, session.chunk_min) if form and form.chunk else size
                after = Keeper(resumption).after
                session = await self._requests.patch_in_chunks(session, chunks, part, length, after)
            await self._requests.finish(session, descriptor)
        except (BodyFailed, ContentError) as error:
            if is_wrong(error):
                await resumption.forget()
                await self._requests.cancel(session)
            raise
