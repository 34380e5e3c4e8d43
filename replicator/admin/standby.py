"""What the admin listener answers while another daemon works with the store and this one stands by."""

from aiohttp import web

from replicator.admin.answers import answer, failure
from replicator.admin.documents import HealthDocument

PROBLEM = "standing by: another daemon works with the store"
"""What probes and people are told."""


def build_standby() -> web.Application:
    """Return an application that is alive and not ready, and refuses all else with 503."""
    app = web.Application()
    app.add_routes(
        [web.get("/healthz", _alive), web.get("/readyz", _not_ready), web.route("*", "/{any:.*}", _refused)]
    )
    return app


async def _alive(_request: web.Request) -> web.Response:
    return answer(200, HealthDocument(status="ok", problem=PROBLEM, store_seconds=0.0))


async def _not_ready(_request: web.Request) -> web.Response:
    return answer(503, HealthDocument(status="failing", problem=PROBLEM, store_seconds=0.0))


async def _refused(_request: web.Request) -> web.Response:
    return failure(503, "standing_by", PROBLEM, {"Retry-After": "5"})
