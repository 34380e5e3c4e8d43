"""Small questions that prove what a registry does, asked with content of our own that nobody else could name.

Each answers True or False when that is proven, and keeps it in the record; None when the answer says neither. What
the configuration or an earlier answer says is not asked again. They raise RegistryError only where trying again may
help.
"""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator
from http import HTTPStatus

import anyio

from replicator.clock import Clock
from replicator.errors import ContentError, ManifestBlobUnknown, Reason, RegistryError
from replicator.model import Descriptor, Digest, MediaType, RawManifest, Repository, Tag
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.http import is_trouble
from replicator.registry.manifests import Manifests
from replicator.registry.outgoing import BodyFailed
from replicator.registry.referrers import Referrers
from replicator.registry.upload_requests import UploadRequests, UploadSession

_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

_FILLING = bytes(80 * 1024)
_CUT_AT = 16 * 1024
_LOOKS = 5
_LOOK_EVERY = 0.1
_CLEAN_SECONDS = 5.0


class _Cut(Exception):
    """Ends a body before its end, on purpose."""


class Probes:
    """Proves what one registry does, in a repository that may be pushed to."""

    def __init__(
        self,
        manifests: Manifests,
        referrers: Referrers,
        requests: UploadRequests,
        capabilities: Capabilities,
        clock: Clock,
    ) -> None:
        self._manifests = manifests
        self._referrers = referrers
        self._requests = requests
        self._capabilities = capabilities
        self._clock = clock
        self._one_at_a_time = anyio.Lock()
        self._troubles = 0

    async def checks_manifests(self, repository: Repository) -> bool | None:
        """Say whether a manifest is refused whose blobs, random ones, exist nowhere: one put by digest.

        Where it is taken, or may have been, it is deleted again, best effort; it has no tag, so nobody sees it.
        """
        known = self._capabilities.holds(Capability.CHECKS_MANIFESTS)
        if known is not None:
            return known
        missed = await self._misses_content(repository, _manifest_of_nothing())
        return None if missed is None else self._proven(Capability.CHECKS_MANIFESTS, holds=missed)

    async def sparse_index(self, repository: Repository) -> bool | None:
        """Say whether an index is taken of which a child, a random one of an odd platform, exists nowhere.

        As `checks_manifests`: one put by digest, deleted again unless it is refused. A registry may still insist on
        the children of some platforms: that is learned from its refusal.
        """
        known = self._capabilities.holds(Capability.SPARSE_INDEX)
        if known is not None:
            return known
        missed = await self._misses_content(repository, _index_of_nothing())
        return None if missed is None else self._proven(Capability.SPARSE_INDEX, holds=not missed)

    async def tag_delete(self, repository: Repository) -> bool | None:
        """Say False where the registry removes no tags: it is asked to remove one of a random name, that never was.

        Any other answer proves nothing, since no tag was removed.
        """
        known = self._capabilities.holds(Capability.TAG_DELETE)
        if known is None:
            try:
                await self._manifests.delete_tag(repository, Tag(f"replicator-check-{secrets.token_hex(16)}"))
            except RegistryError as error:
                _raise_trouble(error)
        return self._capabilities.holds(Capability.TAG_DELETE)

    async def referrers(self, repository: Repository) -> bool | None:
        """Say whether there is a referrers API: it is asked for those of a random digest."""
        if self._capabilities.holds(Capability.REFERRERS) is None:
            try:
                await self._referrers.listed(repository, Digest.of(secrets.token_bytes(32)))
            except (RegistryError, ContentError) as error:
                _raise_trouble(error)
        return self._capabilities.holds(Capability.REFERRERS)

    async def checks_digests(self, repository: Repository) -> bool | None:
        """Say whether 32 random bytes are refused under the digest of others."""
        known = self._capabilities.holds(Capability.CHECKS_DIGESTS)
        if known is not None:
            return known
        data = secrets.token_bytes(32)
        wrong = Descriptor(_LAYER, Digest.of(secrets.token_bytes(32)), len(data))
        try:
            session = await self._requests.start(repository)
            try:
                session = await self._requests.patch(session, _once(data), len(data))
                await self._requests.finish(session, wrong)
            finally:
                # Distribution 2.8 keeps the bytes of an upload that it refused to finish.
                await self._requests.cancel(session)
        except RegistryError as error:
            if error.reason is Reason.DIGEST_MISMATCH:
                return self._proven(Capability.CHECKS_DIGESTS, holds=True)
            _raise_trouble(error)
            return None
        except ContentError:
            # It stored the bytes under their own digest, and says so.
            return None
        return self._proven(Capability.CHECKS_DIGESTS, holds=False)

    async def resumes(self, repository: Repository) -> bool | None:
        """Say whether an upload that is cut keeps its bytes and goes on: tried with a small one that is dropped.

        No other upload is touched: at some registries that would end it. One at a time asks; None for whoever waited
        for one that met trouble.
        """
        troubles = self._troubles
        async with self._one_at_a_time:
            known = self._capabilities.holds(Capability.RESUME)
            if known is not None:
                return known
            if self._troubles != troubles:
                return None
            try:
                holds = await self._goes_on_after_a_cut(repository)
            except RegistryError:
                self._troubles += 1
                raise
            return self._proven(Capability.RESUME, holds=holds)

    async def _misses_content(self, repository: Repository, manifest: RawManifest) -> bool | None:
        """Say whether a manifest is refused for what it names and nobody has; None where the answer does not tell."""
        refused = False
        try:
            await self._manifests.write(repository, manifest.digest, manifest)
        except (RegistryError, ContentError) as error:
            refused = isinstance(error, RegistryError) and 0 < error.status < HTTPStatus.INTERNAL_SERVER_ERROR
            if isinstance(error, ManifestBlobUnknown):
                return True
            _raise_trouble(error)
            return None
        finally:
            if not refused:
                with anyio.move_on_after(_CLEAN_SECONDS, shield=True), contextlib.suppress(RegistryError):
                    await self._manifests.delete(repository, manifest.digest)
        return False

    async def _goes_on_after_a_cut(self, repository: Repository) -> bool:
        session = await self._requests.start(repository)
        try:
            session, held = await self._held_after_a_cut(session)
            if not 0 < held <= _CUT_AT:
                return False
            session = await self._requests.patch(session, _once(_FILLING[held:]), len(_FILLING) - held, held)
            session, held = await self._requests.status(session)
        except (RegistryError, ContentError) as error:
            _raise_trouble(error)
            return False
        finally:
            await self._requests.cancel(session)
        return held == len(_FILLING)

    async def _held_after_a_cut(self, session: UploadSession) -> tuple[UploadSession, int]:
        with contextlib.suppress(BodyFailed):
            await self._requests.patch(session, _broken(_FILLING[:_CUT_AT]), len(_FILLING))
        held = 0
        for _ in range(_LOOKS):
            # The registry may not have seen yet that the connection is gone.
            await self._clock.sleep(_LOOK_EVERY)
            session, held = await self._requests.status(session)
            if held:
                break
        return session, held

    def _proven(self, capability: Capability, *, holds: bool) -> bool:
        self._capabilities.learn(capability, holds)
        return holds


def _raise_trouble(error: RegistryError | ContentError) -> None:
    """Let trouble out, which proves nothing and may be over soon."""
    if isinstance(error, RegistryError) and is_trouble(error):
        raise error


def _manifest_of_nothing() -> RawManifest:
    document = {
        "schemaVersion": 2,
        "mediaType": MediaType.OCI_MANIFEST,
        "config": _random(_CONFIG),
        "layers": [_random(_LAYER)],
    }
    body = json.dumps(document).encode()
    return RawManifest(MediaType.OCI_MANIFEST, Digest.of(body), body)


def _index_of_nothing() -> RawManifest:
    child = {**_random(MediaType.OCI_MANIFEST), "platform": {"os": "plan9", "architecture": "386"}}
    body = json.dumps({"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": [child]}).encode()
    return RawManifest(MediaType.OCI_INDEX, Digest.of(body), body)


def _random(media_type: str) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": str(Digest.of(secrets.token_bytes(32))), "size": 32}


async def _broken(data: bytes) -> AsyncIterator[bytes]:
    yield data
    raise _Cut


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
