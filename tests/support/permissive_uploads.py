"""How the permissive registry takes blobs: mounts, upload sessions, and what may be switched off."""

import asyncio
from dataclasses import dataclass

from aiohttp import web

from replicator.model import Digest
from tests.support.endpoints import Endpoint
from tests.support.permissive_storage import Storage, error_body

_CHUNK = 512 * 1024
_PAGE = 1_000


@dataclass(slots=True, kw_only=True)
class Switches:
    """What the registry does not do; may be changed while it runs.

    `refuse_monolithic_put`: a PUT that brings more than so many bytes gets 413, before its body is read.
    `refuse_patch`: PATCH gets 405. `no_mount`: a mount always becomes an upload session. `page`: most names of one
    page of a list. `absolute_locations`: Location has scheme and host.
    """

    refuse_monolithic_put: int | None = None
    refuse_patch: bool = False
    no_mount: bool = False
    page: int = _PAGE
    absolute_locations: bool = False


class Uploads:
    """The upload endpoints of one registry."""

    def __init__(self, storage: Storage, switches: Switches) -> None:
        self._storage = storage
        self._switches = switches

    async def open(self, request: web.Request, asked: Endpoint) -> web.Response:
        """Mount a blob when asked and possible, else start an upload."""
        mount, source = request.query.get("mount"), request.query.get("from", "")
        if mount and not self._switches.no_mount and self._storage.has_blob(source, Digest.parse(mount)):
            self._storage.link_blob(asked.repository, Digest.parse(mount))
            return self._created(request, asked, Digest.parse(mount))
        return self._accepted(request, asked, self._storage.open_upload(), 202)

    async def status(self, request: web.Request, asked: Endpoint) -> web.Response:
        """Say how much has come."""
        if not self._running(asked):
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        return self._accepted(request, asked, asked.reference, 204)

    async def append(self, request: web.Request, asked: Endpoint) -> web.Response:
        """Take more bytes (PATCH)."""
        if self._switches.refuse_patch:
            return refusal(405, "UNSUPPORTED", "PATCH is switched off")
        if not self._running(asked):
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        start = request.headers.get("Content-Range", "").partition("-")[0]
        if start and int(start) != self._storage.upload_file(asked.reference).stat().st_size:
            return refusal(416, "BLOB_UPLOAD_INVALID", "the chunk does not begin where the upload ends")
        await self._gather(request, asked)
        return self._accepted(request, asked, asked.reference, 202)

    async def finish(self, request: web.Request, asked: Endpoint) -> web.Response:
        """Take the last bytes, if any, and make the blob when its digest is right (PUT)."""
        limit, length = self._switches.refuse_monolithic_put, request.content_length
        if limit is not None and request.can_read_body and (length is None or length > limit):
            return refusal(413, "SIZE_INVALID", "too large a PUT")
        if not self._running(asked):
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        digest = Digest.parse(request.query.get("digest", ""))
        await self._gather(request, asked)
        if not await asyncio.to_thread(self._storage.finish_upload, asked.reference, digest):
            return refusal(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        self._storage.link_blob(asked.repository, digest)
        return self._created(request, asked, digest)

    async def cancel(self, _request: web.Request, asked: Endpoint) -> web.Response:
        """Forget an upload."""
        if not self._running(asked):
            return refusal(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        self._storage.upload_file(asked.reference).unlink()
        return web.Response(status=204)

    async def _gather(self, request: web.Request, asked: Endpoint) -> None:
        with self._storage.upload_file(asked.reference).open("ab") as file:
            async for chunk in request.content.iter_chunked(_CHUNK):
                file.write(chunk)

    def _running(self, asked: Endpoint) -> bool:
        return bool(asked.reference) and self._storage.upload_file(asked.reference).exists()

    def _accepted(self, request: web.Request, asked: Endpoint, upload: str, status: int) -> web.Response:
        size = self._storage.upload_file(upload).stat().st_size
        # The query is there so that clients which rebuild the Location instead of taking it as it is are found out.
        path = f"/v2/{asked.repository}/blobs/uploads/{upload}?_state=a%2Fb%3D{size}"
        headers = {
            "Location": location(request, path, self._switches),
            "Range": f"0-{max(0, size - 1)}",
            "Docker-Upload-UUID": upload,
        }
        return web.Response(status=status, headers=headers)

    def _created(self, request: web.Request, asked: Endpoint, digest: Digest) -> web.Response:
        path = f"/v2/{asked.repository}/blobs/{digest}"
        headers = {"Location": location(request, path, self._switches), "Docker-Content-Digest": str(digest)}
        return web.Response(status=201, headers=headers)


def refusal(status: int, code: str, message: str) -> web.Response:
    """Return an answer with the error document of the distribution-spec."""
    return web.Response(status=status, text=error_body(code, message), content_type="application/json")


def location(request: web.Request, path: str, switches: Switches) -> str:
    """Return a Location as the switches want it: a path, or with scheme and host."""
    return f"{request.scheme}://{request.host}{path}" if switches.absolute_locations else path
