"""Requests with login and redirects: the right Authorization for each hop, at most five hops (A7, B2, S4, S5).

The one thing that is tried again here is what the registry refused for want of time (E3); all else is `retry`'s.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from http import HTTPStatus

from replicator.clock import Clock
from replicator.errors import Reason, RegistryError
from replicator.model import Operation
from replicator.registry.answers import ERROR_BODY, Reply, failure, unexpected
from replicator.registry.authorizer import Authorizer, Challenged
from replicator.registry.endpoint import Endpoint
from replicator.registry.gate import PATIENCE
from replicator.registry.http import LogIn, Request
from replicator.registry.incoming import Answer
from replicator.registry.login import denied
from replicator.registry.logins.source import Create, NoProof
from replicator.registry.reach import Reach
from replicator.registry.transport import Transport

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_HOPS = 5
_BEGINS = frozenset({Operation.UPLOAD_START, Operation.BLOB_MOUNT, Operation.MANIFEST_WRITE})
MOST_REFUSALS = 4
"""How often what a registry had no time for is sent again."""


class Exchange:
    """Talks to one configured registry."""

    def __init__(
        self,
        endpoint: Endpoint,
        reach: Reach,
        authorizer: Authorizer,
        transport: Transport,
        clock: Clock,
        create: Create | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.reach = reach
        self._authorizer = authorizer
        self._transport = transport
        self._clock = clock
        self._create = create

    @property
    def registry(self) -> str:
        """Configuration name."""
        return self.reach.registry

    @property
    def challenged(self) -> Challenged:
        """How the registry has asked for a login so far."""
        return self._authorizer.challenged

    def credentials_changed(self) -> None:
        """Log in anew, whatever came of it before."""
        self._authorizer.forget()

    @contextlib.asynccontextmanager
    async def open(self, request: Request, *, follow: bool = True) -> AsyncIterator[Answer]:
        """Send a request, log in and `follow` redirects (reads only); the answer is closed at the end."""
        answer = await self._answer(request, follow=follow)
        try:
            yield answer
        finally:
            answer.close()

    async def ask(self, request: Request, *, limit: int = ERROR_BODY, follow: bool = True) -> Reply:
        """Return a whole answer of any status; its body is cut behind `limit` bytes.

        A repository that is missing is made first, where something shall be written and the settings say so.
        """
        reply = await self._whole(request, limit, follow=follow)
        if reply.status != HTTPStatus.NOT_FOUND or request.operation not in _BEGINS or self._create is None:
            return reply
        if self.failure(request, reply).code != "NAME_UNKNOWN":
            return reply
        # What is written to comes first among the scopes.
        repository = request.scopes[0].name
        try:
            await self._create(repository)
        except NoProof as error:
            problem = f"the repository {repository} is missing and was not made: {error}"
            raise denied(self.registry, problem, temporary=error.temporary) from error
        return await self._whole(request, limit, follow=follow)

    async def _whole(self, request: Request, limit: int, *, follow: bool) -> Reply:
        answer = await self._answer(request, follow=follow)
        try:
            return await answer.reply(limit)
        finally:
            answer.close()

    async def upload(self, request: Request, chunks: AsyncIterator[bytes], size: int) -> Reply:
        """Send a big body. It cannot be sent again: a refusal is returned as it is, the token of a 401 forgotten."""
        header = await self._header(request)
        reply = await self._transport.upload(_carrying(request, header), chunks, size)
        if reply.status == HTTPStatus.UNAUTHORIZED and header is not None:
            self._authorizer.refused(header)
        return reply

    def failure(self, request: Request, reply: Reply) -> RegistryError:
        """Return the error that `reply` means."""
        return failure(self.registry, request.operation, reply, now=self._clock.now())

    def unexpected(self, request: Request, reply: Reply, problem: str) -> RegistryError:
        """Return the error for an answer outside the protocol."""
        return unexpected(self.registry, request.operation, reply, problem)

    async def _answer(self, request: Request, *, follow: bool) -> Answer:
        reads = follow and request.method in {"GET", "HEAD"}
        return await (self._followed(request) if reads else self._asked(request))

    async def _followed(self, request: Request) -> Answer:
        answer = await self._asked(request)
        at_home = True
        for _ in range(_MOST_HOPS):
            location = answer.fields.get("Location")
            if answer.status not in _REDIRECTS or location is None:
                return answer
            await _drained(answer)
            target = self.reach.redirect(answer.target, location)
            # Whoever was sent away once does not get the login back: the path is then not of our choosing.
            at_home = at_home and target.origin == self.reach.origin
            hop = replace(request, target=target)
            answer = await (self._asked(hop) if at_home else self._sent(hop))
        if answer.status not in _REDIRECTS:
            return answer
        answer.close()
        raise RegistryError(
            f"{self.registry}: {request.operation} {request.target} is redirected more than {_MOST_HOPS} times",
            registry=self.registry,
            reason=Reason.UNSUPPORTED,
        )

    async def _asked(self, request: Request) -> Answer:
        header = await self._header(request)
        answer = await self._sent(_carrying(request, header))
        is_final = request.log_in is not LogIn.AS_ASKED or not self.reach.takes_credentials(request.target)
        if answer.status != HTTPStatus.UNAUTHORIZED or is_final:
            return answer
        reply = await _drained(answer)
        if not self._authorizer.can_answer(reply) and request.operation != Operation.PING:
            reply = await self._challenge_of_ping(reply)
        era = self._authorizer.era
        header = await self._authorizer.answer(reply, request.scopes, header)
        answer = await self._sent(_carrying(request, header))
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._authorizer.failed(request.scopes, era)
        return answer

    async def _sent(self, request: Request) -> Answer:
        """Send; what a registry had no time for, and so did not do, is sent again when its pause is over."""
        for _ in range(MOST_REFUSALS):
            answer = await self._transport.send(request)
            if answer.pause is None or answer.pause > PATIENCE:
                return answer
            answer.close()
        return await self._transport.send(request)

    async def _challenge_of_ping(self, reply: Reply) -> Reply:
        # Some registries say how to log in only at /v2/.
        request = Request(operation=Operation.PING, method="GET", target=self.endpoint.api)
        found = await _drained(await self._sent(request))
        return found if self._authorizer.can_answer(found) else reply

    async def _header(self, request: Request) -> str | None:
        if not self.reach.takes_credentials(request.target):
            return None
        if request.log_in is not LogIn.AS_ASKED:
            return await self._authorizer.beside(request.scopes, request.log_in)
        return await self._authorizer.header(request.scopes)


def _carrying(request: Request, header: str | None) -> Request:
    return request if header is None else replace(request, headers={**request.headers, "Authorization": header})


async def _drained(answer: Answer) -> Reply:
    try:
        return await answer.reply(ERROR_BODY)
    finally:
        answer.close()
