"""A token server that signs real tokens (ES256, its certificate chain in `x5c`), and a registry that asks for them.

Distribution 2.8 takes a token for 60 s beyond its `exp`: a `lifetime` below -60 makes tokens refused at once.
"""

import base64
import contextlib
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Unpack

import jwt
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.support.registries import DockerRegistry, RegistryOptions, TokenAuth, run_registry
from tests.support.web import basic_of, serve

SERVICE = "registry.test"
ISSUER = "token-server.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who may do what: `access` maps repository patterns (fnmatch; `*` crosses slashes) to actions.

    `registry:catalog:*` is granted to those who have the pattern `catalog`. `identity_token` logs in by POST.
    """

    password: str
    access: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"*": ("pull", "push", "delete")})
    identity_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """One request to the token server; `user` is "" for nobody, `grant` is "" for GET."""

    method: str
    user: str
    grant: str
    service: str
    scopes: tuple[str, ...]
    status: int


@dataclass(slots=True)
class TokenServer:
    """The server's state; every field may be changed while it runs.

    `lifetime` in seconds; `anonymous` is what nobody may do; `post_status` answers POST when it is not 0 (404, 405);
    `answer_status` answers everything when it is not 0 (503); `field` names the token in the answer; `tell_lifetime`
    puts expires_in into it.
    """

    users: Mapping[str, User]
    anonymous: Mapping[str, Sequence[str]] = field(default_factory=dict)
    lifetime: float = 60
    post_status: int = 0
    answer_status: int = 0
    token_field: str = "token"
    tell_lifetime: bool = True
    service: str = SERVICE
    path: str = "/token"
    url: str = ""
    requests: list[TokenRequest] = field(default_factory=list)
    _authority: trustme.CA = field(default_factory=trustme.CA)
    _leaf: trustme.LeafCert = field(init=False)

    def __post_init__(self) -> None:
        self._leaf = self._authority.issue_cert(ISSUER)

    @property
    def realm(self) -> str:
        """Where tokens are fetched."""
        return f"{self.url}{self.path}"

    def write_roots(self, path: Path) -> Path:
        """Write the certificate that the registry must trust."""
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def issue(self, user: str, scopes: Iterable[str]) -> str:
        """Sign a token for what `user` may do of `scopes`; the registry refuses what was not granted."""
        now = int(time.time())
        access = self.users[user].access if user else self.anonymous
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": self.service,
            "exp": now + int(self.lifetime),
            "nbf": now - 600,
            "iat": now,
            "jti": uuid.uuid4().hex,
            "access": [_granted(scope, access) for scope in scopes],
        }
        chain = [pem.bytes().decode() for pem in self._leaf.cert_chain_pems]
        x5c = [base64.b64encode(ssl.PEM_cert_to_DER_cert(pem)).decode() for pem in chain]
        return jwt.encode(claims, self._leaf.private_key_pem.bytes(), algorithm="ES256", headers={"x5c": x5c})

    def allows(self, header: str, repository: str, action: str) -> bool:
        """Say whether an Authorization carries a token of ours that is good for `action` in a repository."""
        scheme, _, token = header.partition(" ")
        key = load_pem_private_key(self._leaf.private_key_pem.bytes(), None).public_key()
        assert isinstance(key, EllipticCurvePublicKey)
        try:
            claims = jwt.decode(token, key, algorithms=["ES256"], audience=self.service)
        except jwt.InvalidTokenError:
            return False
        mine = [one for one in claims["access"] if (one["type"], one["name"]) == ("repository", repository)]
        return scheme == "Bearer" and any(action in one["actions"] for one in mine)

    def headers(self, user: str, repository: str, actions: str = "pull,push") -> dict[str, str]:
        """Return headers that a test's own requests (push, fetch_closure) need for one repository."""
        return {"Authorization": f"Bearer {self.issue(user, [f'repository:{repository}:{actions}'])}"}

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one request for a token, as the registry's documents describe it (GET) and OAuth2 does (POST)."""
        form = dict(await request.post()) if request.method == "POST" else {}
        fields: Mapping[str, Any] = form or request.query
        scopes = _scopes(request, form)
        user = self._login(request, form)
        if self.answer_status or (form and self.post_status):
            answer = web.Response(status=self.answer_status or self.post_status)
        elif user is None:
            answer = web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        elif fields.get("service") != self.service:
            answer = web.Response(status=400, text="unknown service")
        else:
            answer = web.json_response(self._document(user, scopes, fields))
        self.requests.append(
            TokenRequest(
                method=request.method,
                user=user or "",
                grant=str(form.get("grant_type", "")),
                service=str(fields.get("service", "")),
                scopes=scopes,
                status=answer.status,
            )
        )
        return answer

    def _login(self, request: web.Request, form: Mapping[str, Any]) -> str | None:
        """Return the user, "" for nobody, None when what was given is wrong."""
        if form.get("grant_type") == "refresh_token":
            given = form.get("refresh_token")
            return next((name for name, one in self.users.items() if given and one.identity_token == given), None)
        if form.get("grant_type") == "password":
            return self._checked(str(form.get("username")), str(form.get("password")))
        if "Authorization" not in request.headers:
            return ""
        basic = basic_of(request.headers["Authorization"])
        return self._checked(*basic) if basic else None

    def _checked(self, name: str, password: str) -> str | None:
        user = self.users.get(name)
        return name if user is not None and user.password == password else None

    def _document(self, user: str, scopes: Sequence[str], fields: Mapping[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = {self.token_field: self.issue(user, scopes)}
        if self.tell_lifetime:
            document["expires_in"] = int(self.lifetime)
        wants_refresh = fields.get("offline_token") == "true" or fields.get("access_type") == "offline"
        if wants_refresh and user:
            document["refresh_token"] = self.users[user].identity_token
        return document


@dataclass(frozen=True, slots=True)
class AuthRegistry:
    """A docker-registry and the token server that it trusts."""

    registry: DockerRegistry
    tokens: TokenServer


@contextlib.asynccontextmanager
async def run_token_server(
    users: Mapping[str, User], *, service: str = SERVICE, path: str = "/token"
) -> AsyncIterator[TokenServer]:
    """Run a token server in this event loop, which calls itself `service` and answers at `path`."""
    server = TokenServer(users, service=service, path=path)
    app = web.Application()
    app.router.add_route("GET", path, server.answer)
    app.router.add_route("POST", path, server.answer)
    async with serve(app) as url:
        server.url = url
        yield server


@contextlib.asynccontextmanager
async def run_auth_registry(
    folder: Path,
    users: Mapping[str, User],
    *,
    name: str = "registry",
    run: Callable[..., contextlib.AbstractAsyncContextManager[DockerRegistry]] = run_registry,
    service: str = SERVICE,
    path: str = "/token",
    **options: Unpack[RegistryOptions],
) -> AsyncIterator[AuthRegistry]:
    """Run a Distribution that sends its clients to a token server; `run` may be `run_distribution3`."""
    async with run_token_server(users, service=service, path=path) as tokens:
        roots = tokens.write_roots(folder / f"{name}-roots.pem")
        options["token_auth"] = TokenAuth(realm=tokens.realm, service=service, issuer=ISSUER, rootcertbundle=roots)
        async with run(folder, name=name, **options) as registry:
            yield AuthRegistry(registry, tokens)


def _scopes(request: web.Request, form: Mapping[str, Any]) -> tuple[str, ...]:
    if form:
        return tuple(str(form.get("scope", "")).split())
    return tuple(part for given in request.query.getall("scope", []) for part in given.split())


def _granted(scope: str, access: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    if kind == "registry":
        allowed = {"*"} if name in access else set()
    else:
        allowed = {action for pattern, given in access.items() if fnmatchcase(name, pattern) for action in given}
    return {"type": kind, "name": name, "actions": sorted(allowed & set(actions.split(",")))}
