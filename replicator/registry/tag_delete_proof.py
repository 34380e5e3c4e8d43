"""Whether a registry removes one tag alone: shown with content of our own before any other tag is removed there.

Some delete the manifest along, with all other tags that name it; most say nothing of that.
"""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator

import anyio

from replicator.errors import ContentError, RegistryError
from replicator.model import Descriptor, Digest, MediaType, RawManifest, Repository, Tag
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.manifests import Manifests
from replicator.registry.upload_requests import UploadRequests

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_KIND = "application/vnd.replicator.check.v1"
_CLEAN_SECONDS = 10.0


class TagDeleteProof:
    """Shows it once; what was shown is believed for as long as the record of capabilities does."""

    def __init__(self, manifests: Manifests, requests: UploadRequests, capabilities: Capabilities) -> None:
        self._manifests = manifests
        self._requests = requests
        self._capabilities = capabilities

    async def prove(self, repository: Repository) -> bool | None:
        """Say whether a tag is removed and its manifest left, with all its other tags; None where nothing shows it.

        A small artifact is put under two tags of random names, one of them is removed, then all that is left of it,
        also where that fails or is cut short, within 10 s.
        Raises RegistryError, before anything is put where no tag may be removed.
        """
        known = self._capabilities.holds(Capability.TAG_DELETE)
        if known is not None:
            return known
        name = f"replicator-check-{secrets.token_hex(16)}"
        removed, kept = Tag(f"{name}-removed"), Tag(f"{name}-kept")
        try:
            await self._manifests.delete_tag(repository, removed)
        except RegistryError:
            if self._capabilities.holds(Capability.TAG_DELETE) is False:
                return False
            raise
        manifest = _artifact(name)
        left: tuple[Tag, ...] = (removed, kept)
        try:
            await self._put(repository, manifest, left)
            await self._manifests.delete_tag(repository, removed)
            left = (kept,)
            shown = await self._shown(repository, manifest, removed, kept)
        finally:
            with anyio.move_on_after(_CLEAN_SECONDS, shield=True):
                await self._clean(repository, manifest, left)
        if shown is not None:
            self._capabilities.learn(Capability.TAG_DELETE, shown)
        return shown

    async def _put(self, repository: Repository, manifest: RawManifest, tags: tuple[Tag, ...]) -> None:
        blob = Descriptor(_EMPTY_TYPE, Digest.of(_EMPTY), len(_EMPTY))
        session = await self._requests.start(repository)
        try:
            session = await self._requests.patch(session, _once(_EMPTY), len(_EMPTY))
            await self._requests.finish(session, blob)
        except BaseException:
            await self._requests.cancel(session)
            raise
        for tag in tags:
            await self._manifests.write(repository, tag, manifest)

    async def _shown(self, repository: Repository, manifest: RawManifest, removed: Tag, kept: Tag) -> bool | None:
        if await self._manifests.stat(repository, removed) is not None:
            return None
        other = await self._manifests.stat(repository, kept)
        itself = await self._manifests.stat(repository, manifest.digest)
        return other is not None and other.digest == manifest.digest and itself is not None

    async def _clean(self, repository: Repository, manifest: RawManifest, left: tuple[Tag, ...]) -> None:
        for tag in left:
            with contextlib.suppress(RegistryError, ContentError):
                await self._manifests.delete_tag(repository, tag)
        with contextlib.suppress(RegistryError, ContentError):
            await self._manifests.delete(repository, manifest.digest)


def _artifact(name: str) -> RawManifest:
    empty = {"mediaType": _EMPTY_TYPE, "digest": str(Digest.of(_EMPTY)), "size": len(_EMPTY)}
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "artifactType": _KIND,
        "config": empty,
        "layers": [empty],
        "annotations": {"org.opencontainers.image.title": name},
    }
    body = json.dumps(document).encode()
    return RawManifest(MediaType.OCI_MANIFEST, Digest.of(body), body)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
