"""What operators order by a POST: a lane that rests or works again, another try at once, something ignored."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from aiohttp import web

from replicator.admin.answers import BadRequest, NoSuchReplica, answer, json_body
from replicator.admin.documents import LaneDocument, RetriedReplica, RetryDocument
from replicator.admin.events import AdminEvent
from replicator.admin.ignoring import IgnoreResult, decide
from replicator.admin.ports import Decisions, Lanes, Source, UpdateCount
from replicator.admin.queries import Names, RetryBody, ignore_body, retry_body
from replicator.admin.reference import ref_text
from replicator.model import Digest, IntentKey, shown
from replicator.observability.labels import UpdateKind

_BODY_MAX = 64 * 1024
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The handlers: each keeps the order in the store, then tells the lane."""

    store: Decisions
    lanes: Lanes
    source: Source
    counts: UpdateCount
    names: Callable[[], Names]

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/v1/retry", self.retry),
            web.post("/api/v1/ignore", self.ignore),
            web.post("/api/v1/lanes/{replica}/pause", self.pause),
            web.post("/api/v1/lanes/{replica}/resume", self.resume),
        ]

    async def retry(self, request: web.Request) -> web.Response:
        """Make what failed due now."""
        names = self.names()
        body = retry_body(await json_body(request, _BODY_MAX), names)
        try:
            document = await retry(self.store, body, sorted(names.replicas))
        finally:
            # Also where it breaks off: of those before it something is due now.
            for replica in body.replicas or sorted(names.replicas):
                self.lanes.mended(replica)
        _log.info(AdminEvent.ADMIN_RETRY, ref=document["ref"], due=document["due"])
        return answer(200, document)

    async def ignore(self, request: web.Request) -> web.Response:
        """Ignore a reference, or take that back."""
        names = self.names()
        body = ignore_body(await json_body(request, _BODY_MAX), names)
        document = await decide(self.store, self.source, body, sorted(names.replicas))
        results = {item["replica"]: item["result"] for item in document["replicas"]}
        _log.info(AdminEvent.ADMIN_IGNORE, ref=document["ref"], undo=body.undo, results=results)
        kind = UpdateKind.DIGEST if isinstance(body.ref[1], Digest) else UpdateKind.TAG
        for replica, result in results.items():
            if result == IgnoreResult.OWED:
                self.counts.update_owed(replica, kind)
        return answer(200, document)

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a lane."""
        return await self._switch(request, paused=True)

    async def resume(self, request: web.Request) -> web.Response:
        """Resume a lane, or its deletes."""
        if await json_body(request, _BODY_MAX) == {"deletes": True}:
            replica = self._replica(request)
            document = await resume_deletes(self.store, replica)
            _log.info(AdminEvent.ADMIN_RESUME, replica=replica, deletes=True)
            return answer(200, document)
        return await self._switch(request, paused=False)

    async def _switch(self, request: web.Request, *, paused: bool) -> web.Response:
        if await json_body(request, _BODY_MAX) not in (None, {}):
            raise BadRequest("the body is empty, or {}" + ("" if paused else ', or {"deletes": true}'))
        replica = self._replica(request)
        document = await switch(self.store, replica, paused=paused)
        _log.info(AdminEvent.ADMIN_PAUSE if paused else AdminEvent.ADMIN_RESUME, replica=replica)
        await self.lanes.heed_pause(replica)
        return answer(200, document)

    def _replica(self, request: web.Request) -> str:
        replica = request.match_info["replica"]
        known = self.names().replicas
        if replica not in known:
            raise NoSuchReplica(f"{shown(replica)} is not a replica; there are {', '.join(sorted(known))}")
        return replica


async def retry(store: Decisions, body: RetryBody, every: Sequence[str]) -> RetryDocument:
    """Make failing rows due now, on the replicas named or on `every` one. Raises StoreError."""
    replicas = []
    for name in dict.fromkeys(body.replicas or every):
        if body.ref is None:
            due = await store.make_due(name)
        else:
            due = len(await store.retry([IntentKey(name, *body.ref)]))
        replicas.append(RetriedReplica(replica=name, due=due, paused_since=await store.paused_since(name)))
    return RetryDocument(
        ref=None if body.ref is None else ref_text(*body.ref),
        due=sum(item["due"] for item in replicas),
        replicas=replicas,
    )


async def switch(store: Decisions, replica: str, *, paused: bool) -> LaneDocument:
    """Keep that a lane rests, or works again; for commands where no daemon runs too. Raises StoreError."""
    changed = await (store.pause if paused else store.resume)(replica)
    return LaneDocument(replica=replica, paused_since=await store.paused_since(replica), changed=changed)


async def resume_deletes(store: Decisions, replica: str) -> LaneDocument:
    """Keep that stopped deletes go on; for commands where no daemon runs too. Raises StoreError."""
    changed = await store.resume_deletes(replica)
    return LaneDocument(replica=replica, paused_since=await store.paused_since(replica), changed=changed)
