"""JSON answers of the admin listener: one shape for errors, and headers that keep browsers out."""

import json
from typing import Any

from aiohttp import web

from replicator.errors import ReplicatorError
from replicator.strict_json import Invalid, loads

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class BadRequest(ReplicatorError):
    """A request that cannot be understood; the message says what would be right. Answered with `status`, `code`."""

    status: int = 400
    code: str = "bad_request"


class NotJson(BadRequest):
    """A body that is not said to be JSON."""

    status = 415
    code = "unsupported_media_type"


class NoSuchReplica(BadRequest):
    """A replica in the path that the configuration does not name."""

    status = 404
    code = "no_such_replica"


def answer(status: int, document: Any, headers: dict[str, str] | None = None) -> web.Response:
    """Return `document` as JSON."""
    return web.Response(
        status=status,
        body=json.dumps(document, ensure_ascii=True).encode() + b"\n",
        content_type="application/json",
        headers={**_HEADERS, **(headers or {})},
    )


def failure(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return an error: a fixed `code` for programs and a sentence for people."""
    return answer(status, {"error": {"code": code, "message": message}}, headers)


async def json_body(request: web.Request, limit: int) -> Any:
    """Return the JSON that a request brings, None for no body at all. Raises BadRequest."""
    # A page in a browser cannot send this type to us without asking first, and we never allow it.
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise NotJson("send application/json, not compressed")
    body = await request.read()
    if not body:
        return None
    try:
        return loads(body, limit=limit)
    except Invalid as error:
        raise BadRequest(str(error)) from error


def page(body: bytes, content_type: str, policy: str | None = None) -> web.Response:
    """Return a body that is not JSON; `content_type` as it stands, parameters included.

    `policy` is the Content-Security-Policy of one that browsers may show.
    """
    allowed = {} if policy is None else {"Content-Security-Policy": policy}
    return web.Response(body=body, headers={**_HEADERS, **allowed, "Content-Type": content_type})
