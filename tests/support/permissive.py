"""A registry that takes any manifest, also one whose blobs and children it does not hold.

So the completeness of what a tag names is the pusher's merit, not the server's (DESIGN 7). Everything else follows
the distribution-spec, and like Distribution it hashes blobs; unlike it, a cut upload keeps its bytes and goes on.
Runs in the tests' own loop (`run_permissive`) or as `python -m tests.support.permissive --port N --root DIR`.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

from replicator.errors import NameInvalid
from replicator.model import Digest
from tests.support.endpoints import Endpoint, endpoint_of
from tests.support.permissive_storage import Storage, StoredManifest, page_of
from tests.support.permissive_uploads import Switches, Uploads, location, refusal
from tests.support.ports import Port
from tests.support.quirks import Asked, Quirk
from tests.support.scratch import memory_folder

_CHUNK = 512 * 1024
_ASKED = web.RequestKey("asked", Endpoint)


@dataclass(slots=True)
class SeenRequest:
    """A request as it came, with the status it got (0 while it runs)."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    endpoint: Endpoint
    status: int = 0


@dataclass(slots=True)
class PermissiveRegistry:
    """The registry: `start`, `stop`, `start` again with the same port and content; `requests` grows for ever."""

    root: Path
    switches: Switches = field(default_factory=Switches)
    quirk: Quirk | None = None
    requests: list[SeenRequest] = field(default_factory=list)
    storage: Storage = field(init=False)
    uploads: Uploads = field(init=False)
    _port: int = 0
    _reserved: Port | None = None
    _runner: web.AppRunner | None = None

    def __post_init__(self) -> None:
        self.storage = Storage(self.root)
        self.uploads = Uploads(self.storage, self.switches)

    @property
    def host(self) -> str:
        """host:port of the listener."""
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        """Base URL without a slash at the end."""
        return f"http://{self.host}"

    async def start(self, port: int = 0) -> None:
        """Listen on `port`; on 0 a reserved one is taken and kept."""
        if not port and self._reserved is None:
            self._reserved = Port()
        self._port = port or (self._reserved.number if self._reserved else 0)
        app = web.Application(middlewares=[self._record], client_max_size=0)
        app.router.add_route("*", "/{path:.*}", self._dispatch)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()

    async def stop(self) -> None:
        """Drop all connections and stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def discard(self) -> None:
        """Stop for good and give the port back."""
        await self.stop()
        if self._reserved is not None:
            self._reserved.release()

    def count(self, method: str, kind: str) -> int:
        """Return how many requests of a method went to a kind of endpoint (endpoints.py)."""
        return sum(one.method == method and one.endpoint.kind == kind for one in self.requests)

    @web.middleware
    async def _record(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        path = request.path if self.quirk is None else request.path.removeprefix(self.quirk.prefix)
        asked = endpoint_of(path)
        if self.quirk is not None:
            asked = self.quirk.understands(asked, self.storage)
        request[_ASKED] = asked
        seen = SeenRequest(request.method, path, dict(request.query), dict(request.headers), asked)
        self.requests.append(seen)
        try:
            answer = await self._oddly(request, asked, handler)
        except NameInvalid as error:
            answer = refusal(400, "DIGEST_INVALID", str(error))
        seen.status = answer.status
        return answer

    async def _oddly(
        self,
        request: web.Request,
        endpoint: Endpoint,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        quirk = self.quirk
        if quirk is None:
            return await handler(request)
        asked = Asked(request, endpoint, self.storage)
        answer = quirk.answers(asked)
        return quirk.changes(asked, await handler(request) if answer is None else answer)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        asked = request[_ASKED]
        handlers: dict[tuple[str, str], Callable[[web.Request, Endpoint], Awaitable[web.StreamResponse]]] = {
            ("GET", "ping"): self._ping,
            ("GET", "catalog"): self._catalog,
            ("GET", "tags"): self._tags,
            ("GET", "manifest"): self._read_manifest,
            ("HEAD", "manifest"): self._read_manifest,
            ("PUT", "manifest"): self._write_manifest,
            ("DELETE", "manifest"): self._delete_manifest,
            ("GET", "blob"): self._read_blob,
            ("HEAD", "blob"): self._read_blob,
            ("DELETE", "blob"): self._delete_blob,
            ("POST", "upload"): self.uploads.open,
            ("GET", "upload"): self.uploads.status,
            ("PATCH", "upload"): self.uploads.append,
            ("PUT", "upload"): self.uploads.finish,
            ("DELETE", "upload"): self.uploads.cancel,
        }
        handler = handlers.get((request.method, asked.kind))
        if handler is None:
            return refusal(404 if asked.kind in {"other", "referrers"} else 405, "UNSUPPORTED", "no such endpoint")
        return await handler(request, asked)

    async def _ping(self, _request: web.Request, _asked: Endpoint) -> web.Response:
        return web.json_response({})

    async def _catalog(self, request: web.Request, _asked: Endpoint) -> web.Response:
        names, headers = self._page(request, self.storage.repositories())
        return web.json_response({"repositories": names}, headers=headers)

    async def _tags(self, request: web.Request, asked: Endpoint) -> web.Response:
        tags = self.storage.tags(asked.repository)
        if tags is None:
            return refusal(404, "NAME_UNKNOWN", "repository name not known to registry")
        names, headers = self._page(request, tags)
        return web.json_response({"name": asked.repository, "tags": names}, headers=headers)

    def _page(self, request: web.Request, names: list[str]) -> tuple[list[str], dict[str, str]]:
        size = min(int(request.query.get("n", self.switches.page)), self.switches.page)
        page, more = page_of(names, request.query.get("last", ""), size)
        link = f'<{request.path}?last={page[-1]}&n={size}>; rel="next"' if more and page else None
        return page, {"Link": link} if link else {}

    async def _read_manifest(self, _request: web.Request, asked: Endpoint) -> web.Response:
        found = self.storage.manifest(asked.repository, asked.reference)
        if found is None:
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        headers = {"Docker-Content-Digest": str(found.digest), "Content-Type": found.media_type}
        return web.Response(body=found.body, headers=headers)

    async def _write_manifest(self, request: web.Request, asked: Endpoint) -> web.Response:
        body = await request.content.read()
        try:
            document = json.loads(body)
        except ValueError:
            return refusal(400, "MANIFEST_INVALID", "manifest is not JSON")
        if document.get("mediaType", request.content_type) != request.content_type:
            return refusal(400, "MANIFEST_INVALID", "mediaType is not the Content-Type")
        tag = None if ":" in asked.reference else asked.reference
        wanted = None if tag else Digest.parse(asked.reference)
        digest = Digest.of(body, wanted.algorithm if wanted else "sha256")
        if wanted not in {None, digest}:
            return refusal(400, "DIGEST_INVALID", "manifest is not what its digest says")
        self.storage.put_manifest(asked.repository, StoredManifest(request.content_type, digest, body), tag)
        headers = {
            "Location": location(request, f"/v2/{asked.repository}/manifests/{digest}", self.switches),
            "Docker-Content-Digest": str(digest),
        }
        return web.Response(status=201, headers=headers)

    async def _delete_manifest(self, _request: web.Request, asked: Endpoint) -> web.Response:
        if not self.storage.delete_manifest(asked.repository, asked.reference):
            return refusal(404, "MANIFEST_UNKNOWN", "manifest unknown")
        return web.Response(status=202)

    async def _read_blob(self, _request: web.Request, asked: Endpoint) -> web.StreamResponse:
        digest = Digest.parse(asked.reference)
        if not self.storage.has_blob(asked.repository, digest):
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        headers = {
            "Docker-Content-Digest": str(digest),
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
        }
        return web.FileResponse(self.storage.blob_file(digest), chunk_size=_CHUNK, headers=headers)

    async def _delete_blob(self, _request: web.Request, asked: Endpoint) -> web.Response:
        digest = Digest.parse(asked.reference)
        if not self.storage.has_blob(asked.repository, digest):
            return refusal(404, "BLOB_UNKNOWN", "blob unknown to registry")
        self.storage.unlink_blob(asked.repository, digest)
        return web.Response(status=202)


@contextlib.asynccontextmanager
async def run_permissive(
    root: Path | None = None, switches: Switches | None = None
) -> AsyncIterator[PermissiveRegistry]:
    """Run it in this event loop; without `root` its content lives in memory (shared memory) and goes away."""
    folder = root or memory_folder()
    registry = PermissiveRegistry(folder, switches or Switches())
    try:
        await registry.start()
        yield registry
    finally:
        await registry.discard()
        if root is None:
            shutil.rmtree(folder)


async def _serve(port: int, root: Path) -> None:
    registry = PermissiveRegistry(root)
    await registry.start(port)
    print(registry.url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", type=Path, required=True)
    chosen = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(chosen.port, chosen.root))


if __name__ == "__main__":
    main()
