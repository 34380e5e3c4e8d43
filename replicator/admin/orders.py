"""What operators order by a POST: a lane that rests or works again."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import web

from replicator.admin.answers import BadRequest, NoSuchReplica, answer, json_body
from replicator.admin.documents import LaneDocument
from replicator.admin.events import AdminEvent
from replicator.admin.ports import LaneDecisions, Lanes
from replicator.admin.queries import Names
from replicator.model import shown

_BODY_MAX = 64 * 1024
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The handlers: each keeps the order in the store, then tells the lane."""

    store: LaneDecisions
    lanes: Lanes
    names: Callable[[], Names]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/v1/lanes/{replica}/pause", self.pause),
            web.post("/api/v1/lanes/{replica}/resume", self.resume),
        ]

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a lane."""
        return await self._switch(request, paused=True)

    async def resume(self, request: web.Request) -> web.Response:
        """Resume a lane."""
        return await self._switch(request, paused=False)

    async def _switch(self, request: web.Request, *, paused: bool) -> web.Response:
        if await json_body(request, _BODY_MAX) not in (None, {}):
            raise BadRequest("the body is empty, or {}")
        replica = request.match_info["replica"]
        known = self.names().replicas
        if replica not in known:
            raise NoSuchReplica(f"{shown(replica)} is not a replica; there are {', '.join(sorted(known))}")
        document = await switch(self.store, replica, paused=paused)
        _log.info(AdminEvent.ADMIN_PAUSE if paused else AdminEvent.ADMIN_RESUME, replica=replica)
        await self.lanes.heed_pause(replica)
        return answer(200, document)


async def switch(store: LaneDecisions, replica: str, *, paused: bool) -> LaneDocument:
    """Keep that a lane rests, or works again; for commands where no daemon runs too. Raises StoreError."""
    changed = await (store.pause if paused else store.resume)(replica)
    return LaneDocument(replica=replica, paused_since=await store.paused_since(replica), changed=changed)
