"""One HTTP exchange at a time with one registry and the hosts it sends us to. No login and no redirects here.

With registry.incoming, which reads the answers, the only place that speaks through aiohttp. What the library would do
by itself and must not (redirects, re-encoding of URLs, and what registry.session names) is switched off (H1-H6, S4,
S5, S11).
"""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import anyio
import yarl

from replicator.proxies import Proxy
from replicator.registry.answers import ERROR_BODY, Fields, Reply, unexpected
from replicator.registry.failures import TRANSPORT_ERRORS, given_up, no_answer, showable
from replicator.registry.http import Request
from replicator.registry.incoming import Answer
from replicator.registry.kinds import kind_of
from replicator.registry.outgoing import BodyFailed, Flow, OutgoingBody, SmallBody
from replicator.registry.resolver import VettingResolver
from replicator.registry.session import open_session
from replicator.registry.skew import SkewWatch
from replicator.registry.through_proxy import ProxyAnswered, is_of_proxy, way_through
from replicator.registry.vetting import vet
from replicator.registry.wiring import Wiring

_FADES = 1.02
"""How fast a quick answer is forgotten: by this factor with each that comes after it."""
_SUCCESS = range(200, 300)
_WRITES = frozenset({"POST", "PUT", "PATCH"})


class Transport:
    """Sends requests of one configured registry over its own connections.

    `latency`: seconds to the head of the quickest answers of late, 0 as long as there was none.
    """

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._registry = wiring.reach.registry
        self._flow = Flow(
            registry=self._registry,
            clock=wiring.clock,
            seconds=wiring.timeouts.write,
            bandwidth=wiring.bandwidth,
        )
        self._skew = SkewWatch(wiring.clock)
        self._opened: aiohttp.ClientSession | None = None
        self._closed = False
        self.latency = 0.0

    @property
    def max_connections(self) -> int:
        """Most connections that are open at a time."""
        return self._wiring.max_connections

    async def send(self, request: Request) -> Answer:
        """Send one request. Raises RegistryError when there is no answer; any status is an answer."""
        if request.method not in _WRITES:
            return await self._send(request, None, self._wiring.timeouts.read, dict(request.headers))
        body = request.body or b""
        headers = {**request.headers, "Content-Length": str(len(body))}
        if body and self._wiring.bandwidth is not None:
            await self._wiring.bandwidth.take(len(body))
        return await self._send(request, SmallBody(body), self._wiring.timeouts.read, headers)

    async def upload(self, request: Request, chunks: AsyncIterator[bytes], size: int) -> Reply:
        """Send a request whose body is `size` bytes of `chunks`, and return the whole answer.

        An answer that comes before the body is out ends the upload; one that claims success then is an error.
        Raises BodyFailed with whatever `chunks` raises.
        """
        timeouts = self._wiring.timeouts
        outgoing = OutgoingBody(chunks, size, self._flow)
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream", **request.headers}
        replies: list[Reply] = []
        failed: tuple[BaseException, ...] = ()
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(outgoing.feed)
                group.start_soon(self._expect_answer, request, outgoing)
                answer = await self._send(request, outgoing, timeouts.commit, headers)
                try:
                    replies.append(await answer.reply(ERROR_BODY))
                finally:
                    answer.close()
                group.cancel_scope.cancel()
        except BaseExceptionGroup as several:
            failed = several.exceptions
        finally:
            outgoing.close()
        if outgoing.error is not None:
            raise BodyFailed(outgoing.error)
        if failed:
            raise failed[0]
        (reply,) = replies
        if reply.status in _SUCCESS and not outgoing.whole:
            raise unexpected(self._registry, request.operation, reply, "before it had the whole body")
        return reply

    async def _expect_answer(self, request: Request, outgoing: OutgoingBody) -> None:
        # The library's own limit is for each byte of a head: one that comes in drops would keep the connection.
        await outgoing.gone()
        await anyio.sleep(self._wiring.timeouts.commit + self._wiring.timeouts.read)
        raise no_answer(self._registry, request, TimeoutError(), self._wiring.way(request))

    async def close(self) -> None:
        """End all connections; who still asks gets a RegistryError."""
        self._closed = True
        if self._opened is not None:
            await self._opened.close()

    async def _send(
        self, request: Request, body: SmallBody | OutgoingBody | None, seconds: float, headers: dict[str, str]
    ) -> Answer:
        wiring, proxy = self._wiring, self._wiring.way(request)
        vet(request, wiring.reach, wiring.proxies)
        permit = await wiring.gate.enter(kind_of(request.operation))
        started = wiring.clock.monotonic()
        # From the first byte to the end of the head; a long body has limits of its own.
        longest = None if isinstance(body, OutgoingBody) else wiring.timeouts.connect + 2 * seconds
        try:
            async with asyncio.timeout(longest):
                response = await self._response(request, body, seconds, headers, proxy)
        except TRANSPORT_ERRORS as error:
            permit.leave()
            self._observe(request, None, wiring.clock.monotonic() - started)
            raise no_answer(self._registry, request, error, proxy) from showable(error)
        except BaseException:
            permit.leave()
            raise
        taken = wiring.clock.monotonic() - started
        self._observe(request, response, taken)
        if longest is not None:
            self.latency = min(self.latency * _FADES, taken) if self.latency else taken
        return Answer(wiring, request, response, permit, seconds=seconds)

    async def _response(
        self,
        request: Request,
        body: SmallBody | OutgoingBody | None,
        seconds: float,
        headers: dict[str, str],
        proxy: Proxy | None,
    ) -> aiohttp.ClientResponse:
        wiring, limits = self._wiring, self._wiring.timeouts
        tunnelled = request.target.origin.scheme == "https"
        way = way_through(proxy, headers, tunnelled=tunnelled)
        response = await self._session().request(
            request.method,
            yarl.URL(request.target.text, encoded=True),
            data=body,
            headers=headers,
            allow_redirects=False,
            ssl=wiring.tls.registry if request.target.origin == wiring.reach.origin else wiring.tls.others,
            timeout=aiohttp.ClientTimeout(
                total=None,
                # A proxy connects in its turn before it answers.
                connect=None if proxy is None else limits.connect + limits.read,
                sock_connect=limits.connect,
                sock_read=seconds,
            ),
            **way,
        )
        if proxy is not None and not tunnelled and is_of_proxy(response.status, response.headers):
            response.close()
            raise ProxyAnswered(response.status)
        return response

    def _observe(self, request: Request, response: aiohttp.ClientResponse | None, seconds: float) -> None:
        observer = self._wiring.observer
        if observer is None:
            return
        status = 0 if response is None else response.status
        observer.request_finished(self._registry, request.operation, status, seconds)
        if response is not None and request.target.origin == self._wiring.reach.origin:
            skew = self._skew.read(Fields(response.headers), seconds)
            if skew is not None:
                observer.clock_read(self._registry, skew)

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise given_up(self._registry)
        if self._opened is None:
            wiring = self._wiring
            resolver = VettingResolver(
                wiring.resolver or aiohttp.ThreadedResolver(),
                lambda host, port: wiring.reach.may_be_private(host, port) or wiring.proxies.includes(host, port),
                seconds=wiring.timeouts.connect,
            )
            self._opened = open_session(resolver, wiring.max_connections, wiring.timeouts, wiring.proxies)
        return self._opened
