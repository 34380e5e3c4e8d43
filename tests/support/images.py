"""Pushing images to a registry and judging from outside what a registry holds; plain HTTP, nothing of the product.

The judge trusts no header alone: manifests are hashed always, blobs by size, or re-read and hashed when asked.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import yarl

from replicator.model import ACCEPTED_MANIFESTS, INDEX_TYPES, Digest
from tests.support.content import (
    Blob,
    Content,
    Image,
    Index,
    blob_of,
    closure_of,
    make_blob,
    make_image,
    make_index,
)

__all__ = [
    "Blob",
    "Closure",
    "Content",
    "Image",
    "Index",
    "blob_of",
    "closure_of",
    "fetch_closure",
    "make_blob",
    "make_image",
    "make_index",
    "push",
    "push_blob",
    "read_manifest",
    "tag_digest",
    "write_layout",
]

_PARALLEL = 4
_ACCEPT = ", ".join(ACCEPTED_MANIFESTS)
_MISSING = 404
Headers = Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Closure:
    """What a complete reference consists of: the top digest, all manifests, all blobs (foreign ones not)."""

    digest: Digest
    manifests: frozenset[Digest]
    blobs: frozenset[Digest]

    @property
    def digests(self) -> frozenset[Digest]:
        """All of it; equals `closure_of` what was pushed."""
        return self.manifests | self.blobs


async def push(url: str, repository: str, tag: str | None, content: Content, *, headers: Headers = None) -> Digest:
    """Push as skopeo does: blobs that are missing, children by digest, the top by `tag` (by digest without one).

    Up to four blobs at a time. Returns the digest of the top manifest; anything refused is an AssertionError.
    """
    async with _session(headers) as session:
        gate = asyncio.Semaphore(_PARALLEL)
        async with asyncio.TaskGroup() as group:
            for blob in content.blobs():
                group.create_task(_push_blob(session, gate, f"{url}/v2/{repository}", blob))
        for manifest in content.manifests():
            top = manifest.digest == content.digest
            reference = tag if top and tag is not None else str(manifest.digest)
            target = f"{url}/v2/{repository}/manifests/{reference}"
            sent = {"Content-Type": manifest.media_type}
            async with session.put(target, data=manifest.body, headers=sent) as answer:
                await _expect(answer, 201)
    return content.digest


async def push_blob(url: str, repository: str, blob: Blob, *, headers: Headers = None) -> None:
    """Push one blob unless it is there."""
    async with _session(headers) as session:
        await _push_blob(session, asyncio.Semaphore(1), f"{url}/v2/{repository}", blob)


async def tag_digest(url: str, repository: str, reference: object, *, headers: Headers = None) -> Digest | None:
    """Return the digest of the bytes that a reference names, or None on a 404."""
    found = await read_manifest(url, repository, reference, headers=headers)
    return None if found is None else Digest.of(found[1])


async def read_manifest(
    url: str, repository: str, reference: object, *, headers: Headers = None
) -> tuple[str, bytes] | None:
    """Return media type and raw bytes of a manifest, or None on a 404."""
    async with _session(headers) as session:
        return await _manifest(session, f"{url}/v2/{repository}", str(reference))


async def fetch_closure(
    url: str, repository: str, reference: object, *, deep: bool = False, headers: Headers = None
) -> Closure:
    """Walk everything that a reference needs and fail with a list of all that is missing or wrong.

    Blobs are checked by HEAD and size; `deep` reads and hashes each of them instead.
    """
    async with _session(headers) as session:
        walk = _Walk(session, f"{url}/v2/{repository}", deep=deep)
        return await walk.run(str(reference))


def write_layout(content: Content, folder: Path, tag: str = "latest") -> str:
    """Write an OCI image layout and return its name for skopeo (`oci:FOLDER:TAG`)."""
    top = {"mediaType": content.media_type, "digest": str(content.digest), "size": len(content.body)}
    index = {
        "schemaVersion": 2,
        "manifests": [top | {"annotations": {"org.opencontainers.image.ref.name": tag}}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (folder / "index.json").write_text(json.dumps(index))
    for manifest in content.manifests():
        _write(folder, manifest.digest, iter((manifest.body,)))
    for blob in content.blobs():
        _write(folder, blob.digest, blob.chunks())
    return f"oci:{folder}:{tag}"


class _Walk:
    """One look at a reference: what was found, and what is wrong with it."""

    def __init__(self, session: aiohttp.ClientSession, base: str, *, deep: bool) -> None:
        self._session = session
        self._base = base
        self._deep = deep
        self._manifests: set[Digest] = set()
        self._blobs: dict[Digest, int] = {}
        self._wrong: list[str] = []

    async def run(self, reference: str) -> Closure:
        top = await self._manifest(reference)
        async with asyncio.TaskGroup() as group:
            gate = asyncio.Semaphore(_PARALLEL)
            for digest, size in self._blobs.items():
                group.create_task(self._blob(gate, digest, size))
        if self._wrong or top is None:
            raise AssertionError(f"{self._base} {reference} is not complete:\n" + "\n".join(self._wrong))
        return Closure(top, frozenset(self._manifests), frozenset(self._blobs))

    async def _manifest(self, reference: str, size: int | None = None) -> Digest | None:
        found = await _manifest(self._session, self._base, reference)
        if found is None:
            self._wrong.append(f"manifest {reference}: missing")
            return None
        media_type, body = found
        asked = Digest.parse(reference) if ":" in reference else None
        digest = Digest.of(body, asked.algorithm if asked else "sha256")
        if asked not in {None, digest}:
            self._wrong.append(f"manifest {reference}: the bytes hash to {digest}")
        if size not in {None, len(body)}:
            self._wrong.append(f"manifest {reference}: {len(body)} bytes, its index says {size}")
        if digest not in self._manifests:
            self._manifests.add(digest)
            await self._members(media_type, json.loads(body))
        return digest

    async def _members(self, media_type: str, document: Mapping[str, object]) -> None:
        if media_type in INDEX_TYPES:
            for child in _descriptors(document.get("manifests")):
                await self._manifest(child.digest, child.size)
            return
        for blob in (*_descriptors([document["config"]]), *_descriptors(document.get("layers"))):
            if "foreign" not in blob.media_type and "nondistributable" not in blob.media_type:
                self._blobs[Digest.parse(blob.digest)] = blob.size

    async def _blob(self, gate: asyncio.Semaphore, digest: Digest, size: int) -> None:
        target = f"{self._base}/blobs/{digest}"
        async with gate, self._session.request("GET" if self._deep else "HEAD", target) as answer:
            if answer.status != 200:
                self._wrong.append(f"blob {digest}: status {answer.status}")
                return
            if answer.headers.get("Content-Length") != str(size):
                self._wrong.append(f"blob {digest}: length {answer.headers.get('Content-Length')}, not {size}")
            if self._deep:
                hasher = digest.hasher()
                async for chunk in answer.content.iter_chunked(256 * 1024):
                    hasher.update(chunk)
                if hasher.hexdigest() != digest.encoded:
                    self._wrong.append(f"blob {digest}: the bytes hash to {hasher.hexdigest()}")


@dataclass(frozen=True, slots=True)
class _Descriptor:
    media_type: str
    digest: str
    size: int


def _descriptors(entries: object) -> Iterator[_Descriptor]:
    if not isinstance(entries, list):
        raise TypeError(f"descriptors are a list, not {entries!r}")
    for entry in entries:
        yield _Descriptor(entry["mediaType"], entry["digest"], entry["size"])


@contextlib.asynccontextmanager
async def _session(headers: Headers) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=60)
    async with aiohttp.ClientSession(headers=headers, auto_decompress=False, timeout=timeout) as session:
        yield session


async def _manifest(session: aiohttp.ClientSession, base: str, reference: str) -> tuple[str, bytes] | None:
    async with session.get(f"{base}/manifests/{reference}", headers={"Accept": _ACCEPT}) as answer:
        if answer.status == _MISSING:
            return None
        await _expect(answer, 200)
        return answer.content_type, await answer.read()


async def _push_blob(session: aiohttp.ClientSession, gate: asyncio.Semaphore, base: str, blob: Blob) -> None:
    async with gate:
        async with session.head(f"{base}/blobs/{blob.digest}") as there:
            if there.status == 200:
                return
        async with session.post(f"{base}/blobs/uploads/") as opened:
            await _expect(opened, 202)
            location = str(opened.url.join(yarl.URL(opened.headers["Location"], encoded=True)))
        target = f"{location}{'&' if '?' in location else '?'}digest={blob.digest}"
        sent = {"Content-Length": str(blob.size), "Content-Type": "application/octet-stream"}
        body = _chunks(blob) if blob.size else b""
        async with session.put(yarl.URL(target, encoded=True), data=body, headers=sent) as answer:
            await _expect(answer, 201)


async def _chunks(blob: Blob) -> AsyncIterator[bytes]:
    for chunk in blob.chunks():
        yield chunk


async def _expect(answer: aiohttp.ClientResponse, status: int) -> None:
    if answer.status != status:
        text = (await answer.text(errors="replace"))[:500]
        raise AssertionError(f"{answer.method} {answer.url}: {answer.status} instead of {status}: {text}")


def _write(folder: Path, digest: Digest, chunks: Iterator[bytes]) -> None:
    path = folder / "blobs" / digest.algorithm / digest.encoded
    path.parent.mkdir(parents=True, exist_ok=True)
    hasher = hashlib.new(digest.algorithm)
    with path.open("wb") as file:
        for chunk in chunks:
            hasher.update(chunk)
            file.write(chunk)
    if hasher.hexdigest() != digest.encoded:
        raise AssertionError(f"the bytes of {digest} hash to {hasher.hexdigest()}")
