"""The admin listener's HTTP application: probes, metrics and the API. `build_admin` is all that the daemon needs."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import anyio
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from anyio import to_thread

from replicator.admin.access import Access
from replicator.admin.answers import BadRequest, answer, failure, json_body, page
from replicator.admin.changes import Changes
from replicator.admin.documents import (
    AwaitedReplica,
    ChangesDocument,
    Failure,
    HealthDocument,
    RecordedChange,
    StatusDocument,
    WaitDocument,
)
from replicator.admin.events import AdminEvent
from replicator.admin.explaining import Explainer, Parts
from replicator.admin.health import Health, Report
from replicator.admin.openapi import DOCUMENT
from replicator.admin.orders import Orders
from replicator.admin.ports import AdminStore, Comparisons, Exposition, Lanes, Looks, Presence, Routes, Source
from replicator.admin.queries import Names, WaitQuery, change_body, explain_query, status_query, wait_query
from replicator.admin.reference import ref_text
from replicator.admin.status import Listing, StatusQuery, read_status
from replicator.admin.status_page import POLICY, status_page
from replicator.admin.targets import targets
from replicator.admin.wait import Verdict, WaitResult, Waits
from replicator.clock import Clock
from replicator.correlation import delivery_id
from replicator.errors import SettingsError, StoreError
from replicator.settings.schema import Settings

BODY_MAX = 64 * 1024
"""Largest request body in bytes."""
_STATUSES = {
    Verdict.COMPLETE: 200,
    Verdict.PENDING: 408,
    Verdict.NO_SUCH_REFERENCE: 404,
    Verdict.NO_RULE: 409,
    Verdict.PRIMARY_UNAVAILABLE: 502,
    Verdict.BUSY: 503,
    Verdict.STOPPING: 503,
}
_METRICS_WITHIN = 2.0
_PARKED_SHOWN = 50
_RETRY_AFTER = {"Retry-After": "1"}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminPorts:
    """The parts of the daemon that the listener shows. `source` is the primary."""

    store: AdminStore
    lanes: Lanes
    source: Source
    presence: Presence
    comparisons: Comparisons
    looks: Looks
    routes: Routes
    metrics: Exposition
    intake_open: Callable[[], bool]
    clock: Clock


def build_admin(
    settings: Callable[[], Settings], ports: AdminPorts, more: Sequence[web.RouteDef] = ()
) -> web.Application:
    """Return the application; `settings` are asked for each request, `more` are routes of other layers.

    When it shuts down, open waits end at once.
    """
    changes = Changes(store=ports.store, routes=ports.routes, metrics=ports.metrics, clock=ports.clock)
    waits = Waits(source=ports.source, presence=ports.presence, changes=changes)
    handlers = _Handlers(settings, ports, changes, waits)
    app = web.Application(middlewares=[_errors, _guard(settings)], client_max_size=BODY_MAX)
    app.add_routes([*handlers.routes(), *more])

    async def stop_waits(_app: web.Application) -> None:
        waits.stop()

    app.on_shutdown.append(stop_waits)
    return app


def names_of(settings: Settings) -> Names:
    """Return the names that requests are held against."""
    return Names(primary_url=settings.primary.url, replicas=tuple(one.name for one in settings.replicas))


@asynccontextmanager
async def serve_admin(app: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve `app` on `host`:`port` (0: a free one) while the block runs; yields the port. Raises SettingsError.

    A caller that hangs up ends its request.
    """
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise SettingsError(f"admin.listen: cannot listen on {host}:{port}: {error.strerror}") from error
        bound = runner.addresses[0][1]
        _log.info(AdminEvent.ADMIN_LISTENING, host=host, port=bound)
        yield bound
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()


def _guard(settings: Callable[[], Settings]) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        admin = settings().admin
        access = Access(token=admin.token, listen_host=admin.listen.host)
        try:
            refusal = access.refusal(
                request.path,
                host=request.headers.get("Host", ""),
                authorization=request.headers.get("Authorization", ""),
            )
        except SettingsError as error:
            _log.warning(AdminEvent.ADMIN_TOKEN_UNREADABLE, error=str(error))
            return failure(503, "token_unreadable", "the daemon cannot read its own admin token", _RETRY_AFTER)
        if refusal is None:
            return await handler(request)
        headers = (
            {"WWW-Authenticate": 'Bearer realm="replicator"'} if refusal.status == HTTPStatus.UNAUTHORIZED else {}
        )
        return failure(refusal.status, refusal.code, refusal.message, headers)

    return guard


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except BadRequest as error:
        return failure(error.status, error.code, str(error))
    except StoreError as error:
        return failure(503, "store_unavailable", f"the store: {error}", _RETRY_AFTER)
    except web.HTTPRequestEntityTooLarge:
        return failure(413, "too_large", f"the body is larger than {BODY_MAX} bytes")
    except web.HTTPException as error:
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return failure(error.status, error.reason.lower().replace(" ", "_"), error.reason, allow)


class _Handlers:
    """One method per endpoint."""

    def __init__(self, settings: Callable[[], Settings], ports: AdminPorts, changes: Changes, waits: Waits) -> None:
        self._settings = settings
        self._ports = ports
        self._writing = anyio.CapacityLimiter(1)
        self._waits = waits
        self._health = Health(store=ports.store, intake_open=ports.intake_open, clock=ports.clock)
        self._changes = changes
        self._explainer = Explainer(
            Parts(
                store=ports.store,
                comparisons=ports.comparisons,
                lanes=ports.lanes,
                source=ports.source,
                looks=ports.looks,
                rules=ports.routes,
                clock=ports.clock,
            )
        )
        self._orders = Orders(
            store=ports.store, lanes=ports.lanes, source=ports.source, counts=ports.metrics, names=self._names
        )

    def _names(self) -> Names:
        return names_of(self._settings())

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.page),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/api/v1/status", self.status),
            web.get("/api/v1/wait", self.wait),
            web.get("/api/v1/explain", self.explain),
            web.post("/api/v1/changes", self.changes),
            web.get("/api/v1/openapi.json", self.openapi),
            *self._orders.routes(),
        ]

    async def healthz(self, _request: web.Request) -> web.Response:
        return _report(await self._health.live())

    async def readyz(self, _request: web.Request) -> web.Response:
        return _report(await self._health.ready())

    async def metrics(self, request: web.Request) -> web.Response:
        # Read at the scrape, so that lag grows even if all else stands still; an unreadable store leaves the old
        # reading in place, which is lag growing too.
        with anyio.move_on_after(_METRICS_WITHIN):
            try:
                self._ports.metrics.summary(await self._ports.store.summary())
            except StoreError as error:
                _log.warning(AdminEvent.ADMIN_STORE_UNREADABLE, error=str(error))
        # A page of many replicas takes tens of milliseconds to write, in which webhooks must be answered.
        accept = request.headers.get("Accept", "")
        return page(*await to_thread.run_sync(self._ports.metrics.exposition, accept, limiter=self._writing))

    async def status(self, request: web.Request) -> web.Response:
        return answer(200, await self._status(status_query(request, self._names())))

    async def page(self, _request: web.Request) -> web.Response:
        document = await self._status(StatusQuery(listing=Listing.PARKED, limit=_PARKED_SHOWN))
        return page(status_page(document), "text/html; charset=utf-8", POLICY)

    async def _status(self, query: StatusQuery) -> StatusDocument:
        labels = {replica.name: replica.labels for replica in self._settings().replicas}
        return await read_status(self._ports.store, labels, self._ports.lanes, query)

    async def wait(self, request: web.Request) -> web.Response:
        query = wait_query(request, self._names())
        result = await self._waits.wait(query.repository, query.reference, query.replicas, query.timeout)
        headers = _RETRY_AFTER if _STATUSES[result.verdict] == HTTPStatus.SERVICE_UNAVAILABLE else {}
        return answer(_STATUSES[result.verdict], _wait_document(query, result), headers)

    async def explain(self, request: web.Request) -> web.Response:
        return answer(200, await self._explainer.explain(explain_query(request, self._names())))

    async def changes(self, request: web.Request) -> web.Response:
        body = change_body(await json_body(request, BODY_MAX), self._names())
        where = targets(self._ports.routes, body.repository, body.reference, body.replicas)
        if where.refusal:
            return failure(409, "no_rule", where.refusal)
        delivery = delivery_id()
        recorded = await self._changes.tell(
            body.repository,
            body.reference,
            where.replicas,
            priority=body.priority,
            damaged=body.damaged,
            digest=body.digest,
            delivery=delivery,
        )
        ref = ref_text(body.repository, body.reference)
        results = {name: str(result) for name, result in recorded.items()}
        _log.info(AdminEvent.ADMIN_CHANGE, delivery=delivery, ref=ref, results=results)
        changes = [RecordedChange(replica=name, result=result) for name, result in results.items()]
        return answer(202, ChangesDocument(ref=ref, changes=changes))

    async def openapi(self, _request: web.Request) -> web.Response:
        return answer(200, DOCUMENT)


def _report(report: Report) -> web.Response:
    document = HealthDocument(
        status="failing" if report.problem else "ok", problem=report.problem, store_seconds=round(report.seconds, 6)
    )
    return answer(503 if report.problem else 200, document)


def _wait_document(query: WaitQuery, result: WaitResult) -> WaitDocument:
    document = WaitDocument(
        ref=ref_text(query.repository, query.reference),
        digest=None if result.digest is None else str(result.digest),
        complete=result.verdict is Verdict.COMPLETE,
        replicas=[
            AwaitedReplica(replica=item.replica, complete=item.complete, waiting_for=item.waiting_for)
            for item in result.replicas
        ],
        seconds=round(result.seconds, 3),
    )
    if result.verdict is not Verdict.COMPLETE:
        document["error"] = Failure(code=str(result.verdict), message=result.message)
    return document
