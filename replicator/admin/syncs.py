"""What operators ask of sweeps by HTTP: one now, and how far it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from aiohttp import web

from replicator.admin.answers import BadRequest, answer, failure, json_body
from replicator.admin.documents import SyncDocument
from replicator.admin.events import AdminEvent
from replicator.admin.queries import Names, sync_body

_BODY_MAX = 64 * 1024
_log = structlog.get_logger(__name__)


class Syncs(Protocol):
    """The syncs of the daemon."""

    async def start(self, repositories: Sequence[str], replicas: Sequence[str]) -> SyncDocument | None:
        """Begin one; None where too many run. Raises ValueError for a pattern that cannot be understood."""
        ...

    def document(self, identity: str) -> SyncDocument | None:
        """Return how far one is, None for one that is not remembered."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequests:
    """The handlers."""

    syncs: Syncs
    names: Callable[[], Names]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/api/v1/sync", self.start), web.get("/api/v1/sync/{id}", self.look)]

    async def start(self, request: web.Request) -> web.Response:
        """Begin a sync."""
        body = sync_body(await json_body(request, _BODY_MAX), self.names())
        try:
            document = await self.syncs.start(body.repositories, body.replicas)
        except ValueError as error:
            raise BadRequest(f"`repositories`: {error}") from error
        if document is None:
            return failure(503, "busy", "too many syncs run; try again later", {"Retry-After": "5"})
        _log.info(AdminEvent.ADMIN_SYNC, delivery=document["id"], repositories=body.repositories)
        return answer(202, document)

    async def look(self, request: web.Request) -> web.Response:
        """Say how far a sync is."""
        document = self.syncs.document(request.match_info["id"])
        if document is None:
            return failure(404, "no_such_sync", "no sync of this id is remembered")
        return answer(200, document)
