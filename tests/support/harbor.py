"""What Harbor has of its own, in front of a Distribution: its token service, and its API's list of artifacts."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

from aiohttp import web

from tests.support.distribution_files import tags_in
from tests.support.front import pass_on
from tests.support.ports import Port
from tests.support.registries import TokenAuth, run_registry
from tests.support.token_server import ISSUER, TokenServer, User
from tests.support.web import basic_of

_SERVICE = "harbor-registry"
_LARGEST = 100


@dataclass(slots=True)
class Harbor:
    """The registry's state. `asked` is what was asked of it, method and raw path, save for tokens.

    The action `list` in a user's access is the right to list artifacts.
    """

    tokens: TokenServer
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""
    upstream: str = ""
    root: Path = Path()

    async def artifacts(self, request: web.Request) -> web.Response:
        """Answer with a page of artifacts to who may list them, by user name and password alone."""
        self.asked.append((request.method, request.raw_path))
        project = request.match_info["project"]
        name = f"{project}/{unquote(request.match_info['repository'])}"
        user = self._user(request.headers.get("Authorization", ""))
        if user is None:
            return _refusal(401, "UNAUTHORIZED")
        access = self.tokens.users[user].access
        if "list" not in access.get("*", ()):
            return _refusal(403, "FORBIDDEN")
        query = request.query
        page, size = int(query.get("page", "1")), int(query.get("page_size", "10"))
        if size > _LARGEST or query["with_tag"] != "true" or query["q"] != "tags=*":
            return _refusal(422, "UNPROCESSABLE")
        by_digest: dict[str, list[str]] = {}
        for tag, digest in tags_in(self.root, name).items():
            by_digest.setdefault(digest, []).append(tag)
        listed = sorted(by_digest)[(page - 1) * size : page * size]
        entries = [
            {"id": place, "digest": digest, "tags": [{"id": place, "name": tag} for tag in by_digest[digest]]}
            for place, digest in enumerate(listed)
        ]
        more = {"prev": page - 1 if page > 1 else 0, "next": page + 1 if page * size < len(by_digest) else 0}
        path = f"/api/v2.0/projects/{project}/repositories/{quote(quote(name.partition('/')[2], safe=''))}/artifacts"
        links = [
            f'<{path}?page={number}&page_size={size}&q=tags=*&with_tag=true> ; rel="{relation}"'
            for relation, number in more.items()
            if number
        ]
        headers = {"X-Total-Count": str(len(by_digest)), "Link": " , ".join(links)}
        return web.json_response(entries, headers=headers)

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Hand everything else to the registry."""
        self.asked.append((request.method, request.raw_path))
        return await pass_on(request, self.upstream)

    def _user(self, header: str) -> str | None:
        name, password = basic_of(header) or ("", "")
        user = self.tokens.users.get(name)
        return name if user is not None and user.password == password else None


def _refusal(status: int, code: str) -> web.Response:
    return web.json_response({"errors": [{"code": code, "message": "no"}]}, status=status)


@contextlib.asynccontextmanager
async def run_harbor(folder: Path, users: Mapping[str, User], *, name: str = "harbor") -> AsyncIterator[Harbor]:
    """Run the front and the Distribution behind it."""
    port = Port()
    tokens = TokenServer(users, service=_SERVICE, path="/service/token", url=f"http://127.0.0.1:{port.number}")
    harbor = Harbor(tokens, url=tokens.url)
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_get("/service/token", tokens.answer)
    app.router.add_get("/api/v2.0/projects/{project}/repositories/{repository}/artifacts", harbor.artifacts)
    app.router.add_route("*", "/{anything:.*}", harbor.pass_on)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    roots = tokens.write_roots(folder / f"{name}-roots.pem")
    login = TokenAuth(realm=tokens.realm, service=_SERVICE, issuer=ISSUER, rootcertbundle=roots)
    try:
        async with run_registry(folder, name=name, token_auth=login) as registry:
            harbor.upstream, harbor.root = registry.url, registry.root
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port.number, reuse_address=True).start()
            yield harbor
    finally:
        await runner.cleanup()
        port.release()
