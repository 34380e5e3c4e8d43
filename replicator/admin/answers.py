"""JSON answers of the admin listener: one shape for errors, and headers that keep browsers out."""

import json
from typing import Any

from aiohttp import web

from replicator.errors import ReplicatorError

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class BadRequest(ReplicatorError):
    """A request that cannot be understood; the message says what would be right. Becomes a 400."""


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


def page(body: bytes, content_type: str) -> web.Response:
    """Return a body that is not JSON; `content_type` as it stands, parameters included."""
    return web.Response(body=body, headers={**_HEADERS, "Content-Type": content_type})
