"""A server on the loopback that answers as told, however evil, and keeps what it was asked; and clients for it."""

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractResolver

from replicator.clock import Clock
from replicator.model import Descriptor, Digest, Repository, Tag
from replicator.registry.client import RegistryClient, open_registry
from replicator.registry.http import HttpObserver, Timeouts
from replicator.settings.credentials import Credentials
from replicator.settings.registries import ReplicaSettings
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock
from tests.support.ports import Port

TEAM = Repository("team/app")
TAG = Tag("v1")
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
DATA = bytes(range(256)) * 1000
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))
BLOB_PATH = f"/v2/team/app/blobs/{BLOB.digest}"
UPLOADS = "/v2/team/app/blobs/uploads/"
PATIENCE = Timeouts(connect=5, read=5, write=5, commit=5)


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came; `target` is the raw path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("Authorization")


@dataclass(frozen=True, slots=True)
class Say:
    """An answer."""

    status: int = 200
    headers: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    body: bytes = b""


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def error(status: int, code: str, message: str = "no", **headers: str) -> Say:
    body = json.dumps({"errors": [{"code": code, "message": message}]}).encode()
    return Say(status, {"Content-Type": "application/json", **headers}, body)


def say_json(document: Any, status: int = 200, **headers: str) -> Say:
    return Say(status, {"Content-Type": "application/json", **headers}, json.dumps(document).encode())


@dataclass(slots=True)
class Script:
    """Rules are tried from the newest on; of several answers each is given once, the last for ever.

    Handlers that hang wait for `stopped`.
    """

    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    rules: list[tuple[str, re.Pattern[str], list[Say | Handler]]] = field(default_factory=list)

    def on(self, method: str, target: str, *answers: Say | Handler) -> None:
        """Answer requests whose raw path and query begin with the regex `target`."""
        self.rules.insert(0, (method, re.compile(target), list(answers)))

    def asked(self, method: str, target: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and re.match(target, seen.target)]

    @property
    def host(self) -> str:
        """host:port."""
        return self.url.partition("://")[2]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        for method, pattern, answers in self.rules:
            if method == request.method and pattern.match(request.raw_path):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                break
        else:
            answer = error(404, "NOT_SCRIPTED")
        if isinstance(answer, Say):
            self._note(request, await request.read())
            response = web.Response(status=answer.status, body=answer.body)
            for name, values in answer.headers.items():
                for value in (values,) if isinstance(values, str) else values:
                    response.headers.add(name, value)
            return response
        self._note(request, b"")
        return await answer(request)

    def _note(self, request: web.Request, body: bytes) -> None:
        self.seen.append(Seen(request.method, request.raw_path, dict(request.headers), body))


@contextlib.asynccontextmanager
async def run_script(tls: ssl.SSLContext | None = None) -> AsyncIterator[Script]:
    """Serve a script on a loopback port."""
    script = Script()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{anything:.*}", script.handle)
    port = Port()
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, auto_decompress=False)
    try:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port.number, ssl_context=tls, reuse_address=True).start()
        script.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port.number}"
        yield script
    finally:
        script.stopped.set()
        await runner.cleanup()
        port.release()


def settings_for(url: str, **options: Any) -> ReplicaSettings:
    return ReplicaSettings(name="replica", url=url, **options)


def client_for(
    url: str,
    *,
    clock: Clock | None = None,
    observer: HttpObserver | None = None,
    timeouts: Timeouts = PATIENCE,
    resolver: AbstractResolver | None = None,
    **options: Any,
) -> RegistryClient:
    """Return a client for a replica at `url`; `options` are its other settings."""
    return open_registry(
        settings_for(url, **options),
        clock=clock or FakeClock(),
        observer=observer,
        timeouts=timeouts,
        resolver=resolver,
        environ={},
    )


def password(user: str = "mirror", word: str = "canary-password") -> Credentials:
    return Credentials(username=user, password_file=Secret.of_text(word))


def bearer(realm: str, *, scope: str = "", service: str = "registry") -> Say:
    """Return the 401 that asks for a token."""
    challenge = f'Bearer realm="{realm}",service="{service}"' + (f',scope="{scope}"' if scope else "")
    return error(401, "UNAUTHORIZED", **{"WWW-Authenticate": challenge})


def demand(token: str, granted: Say | Handler, refusal: Say) -> Handler:
    """Return an answer that is `granted` to those who carry `token`, `refusal` to all others."""

    async def answer(request: web.Request) -> web.StreamResponse:
        given = granted if request.headers.get("Authorization") == f"Bearer {token}" else refusal
        if not isinstance(given, Say):
            return await given(request)
        return web.Response(status=given.status, body=given.body, headers=plain(given.headers))

    return answer


def plain(headers: Mapping[str, str | tuple[str, ...]]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if isinstance(value, str)}


def manifest_answer(body: bytes, media_type: str = MANIFEST_TYPE, **headers: str) -> Say:
    return Say(200, {"Content-Type": media_type, "Docker-Content-Digest": str(Digest.of(body)), **headers}, body)


async def whole_body(data: bytes = DATA, piece: int = 50_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), piece):
        yield data[start : start + piece]


async def read_blob(client: RegistryClient, descriptor: Descriptor = BLOB, offset: int = 0) -> bytes:
    async with client.open_blob(TEAM, descriptor, offset) as reader:
        return b"".join([chunk async for chunk in reader.chunks()])
