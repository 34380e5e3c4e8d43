"""What Quay has of its own, in front of a Distribution: its token service, and its API's list of tags."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from tests.support.distribution_files import tags_in
from tests.support.front import pass_on
from tests.support.ports import Port
from tests.support.registries import TokenAuth, run_registry
from tests.support.token_server import ISSUER, TokenServer, User

OAUTH = "$oauthtoken"
_SERVICE = "quay.test"
_LARGEST = 100


@dataclass(slots=True)
class Quay:
    """The registry's state. `asked` is what was asked of it, method and raw path, save for tokens.

    The password of the user `$oauthtoken` is the one OAuth token; `public` repositories are listed to anybody.
    """

    tokens: TokenServer
    asked: list[tuple[str, str]] = field(default_factory=list)
    public: bool = False
    url: str = ""
    upstream: str = ""
    root: Path = Path()

    async def tags(self, request: web.Request) -> web.Response:
        """Answer with a page of tags to the holder of the token."""
        self.asked.append((request.method, request.raw_path))
        header = request.headers.get("Authorization")
        if not (self.public if header is None else header == f"Bearer {self.tokens.users[OAUTH].password}"):
            return web.json_response({"error_message": "Requires authentication", "status": 401}, status=401)
        query = request.query
        page, size = int(query.get("page", "1")), min(_LARGEST, int(query.get("limit", "50")))
        if query["onlyActiveTags"] != "true":
            return web.json_response({"status": 400}, status=400)
        tags = list(tags_in(self.root, request.match_info["name"]).items())
        listed = tags[(page - 1) * size : page * size]
        entries = [{"name": tag, "manifest_digest": digest, "is_manifest_list": False} for tag, digest in listed]
        return web.json_response({"tags": entries, "page": page, "has_additional": page * size < len(tags)})

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Hand everything else to the registry."""
        self.asked.append((request.method, request.raw_path))
        return await pass_on(request, self.upstream)


@contextlib.asynccontextmanager
async def run_quay(folder: Path, users: Mapping[str, User], *, name: str = "quay") -> AsyncIterator[Quay]:
    """Run the front and the Distribution behind it."""
    port = Port()
    tokens = TokenServer(users, service=_SERVICE, path="/v2/auth", url=f"http://127.0.0.1:{port.number}")
    quay = Quay(tokens, url=tokens.url)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_get("/v2/auth", tokens.answer)
    app.router.add_get("/api/v1/repository/{name:.+}/tag/", quay.tags)
    app.router.add_route("*", "/{anything:.*}", quay.pass_on)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    roots = tokens.write_roots(folder / f"{name}-roots.pem")
    login = TokenAuth(realm=tokens.realm, service=_SERVICE, issuer=ISSUER, rootcertbundle=roots)
    try:
        async with run_registry(folder, name=name, token_auth=login) as registry:
            quay.upstream, quay.root = registry.url, registry.root
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port.number, reuse_address=True).start()
            yield quay
    finally:
        await runner.cleanup()
        port.release()
