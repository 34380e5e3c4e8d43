"""An answer on its way in: its head at once, its body as it is read, watched for stalls and paced."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from replicator.errors import RegistryError
from replicator.registry.answers import Fields, Reply, retry_after, wants_pause
from replicator.registry.failures import TRANSPORT_ERRORS, no_answer, showable
from replicator.registry.gate import Permit
from replicator.registry.http import Request
from replicator.registry.progress import Arrivals
from replicator.registry.read_sizes import CHUNK, read_in_large_pieces
from replicator.registry.wiring import Wiring

_SERVER_ERRORS = range(500, 600)


class Answer:
    """The head of an answer, its body still to be read. Close it.

    `pause` is for how many seconds the registry takes no such requests, when it refused this one for want of time.
    """

    def __init__(
        self, wiring: Wiring, request: Request, response: aiohttp.ClientResponse, permit: Permit, *, seconds: float
    ) -> None:
        self.target = request.target
        self.status = response.status
        self.fields = Fields(response.headers)
        self._wiring = wiring
        self._registry = wiring.reach.registry
        self._request = request
        self._response = response
        self._permit = permit
        self._seconds = seconds
        self.pause: float | None = None
        if wants_pause(self.status, self.fields):
            self.pause = permit.refused(retry_after(self.fields, now=wiring.clock.now()))
        elif self.status not in _SERVER_ERRORS:
            permit.succeeded()

    async def chunks(self, *, paced: bool = True) -> AsyncIterator[bytes]:
        """Yield the raw body, up to 512 KiB at a time, as fast as the bandwidth allows where it is `paced`.

        Raises RegistryError when it breaks off or hardly moves.
        """
        clock, arrivals = self._wiring.clock, Arrivals(self._seconds)
        bandwidth = self._wiring.bandwidth if paced else None
        connection = self._response.connection
        if connection is not None and (self.fields.length() or CHUNK) >= CHUNK:
            read_in_large_pieces(connection.transport)
        while True:
            began = clock.monotonic()
            try:
                chunk = await self._response.content.read(CHUNK)
            except TRANSPORT_ERRORS as error:
                raise self._lost(error) from showable(error)
            if not chunk:
                return
            if arrivals.stalled(len(chunk), clock.monotonic() - began):
                raise self._lost(TimeoutError())
            if bandwidth is not None:
                await bandwidth.take(len(chunk))
            yield chunk

    async def reply(self, limit: int) -> Reply:
        """Return the answer with at most `limit` + 1 bytes of its body: one more tells that it was too long."""
        if self._response.content.is_eof():
            # Most answers are whole when their head is: nothing is waited for, so nothing has to watch the clock.
            body = await self._body(limit)
        else:
            try:
                async with asyncio.timeout(self._seconds):
                    body = await self._body(limit)
            except TimeoutError as error:
                raise self._lost(error) from error
        self.close()
        if body and self._wiring.bandwidth is not None:
            # Behind the limit of time above: that is the registry's, this wait is ours.
            await self._wiring.bandwidth.take(len(body))
        return Reply(self.target, self.status, self.fields, body)

    def _lost(self, error: Exception) -> RegistryError:
        return no_answer(self._registry, self._request, error, self._wiring.way(self._request))

    async def _body(self, limit: int) -> bytes:
        if self._response.content.at_eof():
            return b""
        body = bytearray()
        async for chunk in self.chunks(paced=False):
            body += chunk
            if len(body) > limit:
                break
        return bytes(body[: limit + 1])

    def close(self) -> None:
        """Give the connection back, or end it when there is more to come."""
        self._response.close()
        self._permit.leave()
