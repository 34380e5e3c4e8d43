"""What a front of a registry hands on as it is: small requests, whole in memory."""

import aiohttp
from aiohttp import web

_OWN = frozenset({"transfer-encoding", "connection", "content-length"})


async def pass_on(request: web.Request, upstream: str, *, drop: frozenset[str] = frozenset()) -> web.StreamResponse:
    """Ask the server at `upstream` the same, without the headers in `drop` (lower case), and return its answer."""
    headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN | drop}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.request(
            request.method,
            f"{upstream}{request.raw_path}",
            headers=headers,
            data=await request.read() if request.can_read_body else None,
            allow_redirects=False,
        ) as answer,
    ):
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
        body = await answer.read()
        if request.method == "HEAD":
            kept["Content-Length"] = answer.headers.get("Content-Length", "0")
        return web.Response(status=answer.status, headers=kept, body=body)
