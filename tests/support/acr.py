"""What Azure Container Registry has of its own, in front of a Distribution: its way to log in, and a list of tags."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import jwt
from aiohttp import web

from tests.support.distribution_files import tags_in
from tests.support.front import pass_on
from tests.support.ports import Port
from tests.support.registries import TokenAuth, run_registry
from tests.support.token_server import ISSUER, SERVICE, TokenServer, User
from tests.support.web import basic_of


@dataclass(slots=True)
class Acr:
    """The registry's state. `entra_tokens` says which tokens of Entra are right, `holder` whose rights they give.

    `refresh_life` in seconds. A refresh token is taken as long as it is in `refresh_tokens`. `asked` is what was
    asked of the registry, method and raw path. A page of its own list has at most `most` tags.
    """

    tokens: TokenServer
    entra_tokens: Callable[[str], bool] = lambda _: False
    holder: str = ""
    tenant: str = ""
    refresh_life: int = 3 * 3600
    exchange_status: int = 200
    refresh_tokens: list[str] = field(default_factory=list)
    exchanges: int = 0
    grants: list[Mapping[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    most: int = 1000
    url: str = ""
    upstream: str = ""
    root: Path = Path()

    async def exchange(self, request: web.Request) -> web.Response:
        """Answer a token of Entra with a refresh token."""
        self.exchanges += 1
        form = {name: str(value) for name, value in (await request.post()).items()}
        expected = {"grant_type": "access_token", "service": "127.0.0.1"} | (
            {"tenant": self.tenant} if self.tenant else {}
        )
        if self.exchange_status != 200:
            return web.json_response(
                {"errors": [{"code": "DENIED", "message": "canary"}]}, status=self.exchange_status
            )
        if not expected.items() <= form.items() or not self.entra_tokens(form.get("access_token", "")):
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        now = int(time.time())
        claims = {"iat": now, "exp": now + self.refresh_life, "jti": f"refresh-canary-{self.exchanges}"}
        self.refresh_tokens.append(jwt.encode(claims, "k" * 32, algorithm="HS256"))
        return web.json_response({"refresh_token": self.refresh_tokens[-1]})

    async def token(self, request: web.Request) -> web.Response:
        """Answer a refresh token, or user name and password, with an access token; its life is not told."""
        if request.method == "GET":
            user = self._user(request.headers.get("Authorization", ""))
            service, scopes = request.query.get("service"), tuple(request.query.getall("scope", []))
            self.grants.append({"user": user, "scope": " ".join(scopes)})
        else:
            form = {name: str(value) for name, value in (await request.post()).items()}
            self.grants.append(form)
            known = form.get("grant_type") == "refresh_token" and form.get("refresh_token") in self.refresh_tokens
            user = self.holder if known else ""
            service, scopes = form.get("service"), tuple(form.get("scope", "").split())
        if not user or service != SERVICE:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        return web.json_response({"access_token": self.tokens.issue(user, scopes)})

    async def pass_on(self, request: web.Request) -> web.StreamResponse:
        """Hand everything else to the registry."""
        self.asked.append((request.method, request.raw_path))
        return await pass_on(request, self.upstream)

    async def own_tags(self, request: web.Request) -> web.Response:
        """Answer with a page of tags and their digests, as the registry has them, to who may read them."""
        self.asked.append((request.method, request.raw_path))
        name = request.match_info["name"]
        if not self.tokens.allows(request.headers.get("Authorization", ""), name, "metadata_read"):
            asks = f'realm="{self.url}/oauth2/token",service="{SERVICE}",scope="repository:{name}:metadata_read"'
            document = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}
            return web.json_response(document, status=401, headers={"WWW-Authenticate": f"Bearer {asks}"})
        digests = tags_in(self.root, name)
        last, size = request.query.get("last", ""), min(self.most, int(request.query.get("n", "100")))
        page = [tag for tag in digests if tag > last][:size]
        entries = [{"name": tag, "digest": digests[tag], "signed": False} for tag in page]
        headers = {}
        if page and page[-1] != max(digests):
            more = f"/acr/v1/{quote(name, safe='')}/_tags?last={page[-1]}&n={size}&orderby="
            headers["Link"] = f'<{more}>; rel="next"'
        listed = {"registry": "registry.test", "imageName": name, "tags": entries}
        return web.json_response(listed, headers=headers)

    def _user(self, header: str) -> str:
        name, password = basic_of(header) or ("", "")
        user = self.tokens.users.get(name)
        return name if user is not None and user.password == password else ""


@contextlib.asynccontextmanager
async def run_acr(folder: Path, users: Mapping[str, User], *, name: str = "acr") -> AsyncIterator[Acr]:
    """Run the front and the Distribution behind it."""
    port = Port()
    tokens = TokenServer(users, lifetime=75 * 60)
    acr = Acr(tokens, url=f"http://127.0.0.1:{port.number}")
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/oauth2/exchange", acr.exchange)
    app.router.add_route("GET", "/oauth2/token", acr.token)
    app.router.add_route("POST", "/oauth2/token", acr.token)
    app.router.add_get("/acr/v1/{name:.+}/_tags", acr.own_tags)
    app.router.add_route("*", "/{anything:.*}", acr.pass_on)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    roots = tokens.write_roots(folder / f"{name}-roots.pem")
    login = TokenAuth(realm=f"{acr.url}/oauth2/token", service=SERVICE, issuer=ISSUER, rootcertbundle=roots)
    try:
        async with run_registry(folder, name=name, token_auth=login) as registry:
            acr.upstream, acr.root = registry.url, registry.root
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port.number, reuse_address=True).start()
            yield acr
    finally:
        await runner.cleanup()
        port.release()
