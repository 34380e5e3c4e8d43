"""Manifests: stat, read and write raw bytes (distribution-spec "Pulling manifests", "Pushing Manifests"; F1-F7)."""

import contextlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

import anyio

from replicator import manifest as manifests
from replicator import strict_json
from replicator.errors import ContentError, ManifestNotTaken, NameInvalid, NotFound, Reason, RegistryError
from replicator.manifest import MAX_MANIFEST
from replicator.model import (
    ACCEPTED_MANIFESTS,
    SCHEMA1_TYPES,
    Descriptor,
    Digest,
    Operation,
    RawManifest,
    Reference,
    Repository,
    shown,
)
from replicator.registry import scope
from replicator.registry.answers import API_VERSION, Reply, is_own_word
from replicator.registry.capabilities import Capability
from replicator.registry.http import UNKNOWN_OUTCOME_SECONDS, Request, is_outcome_unknown
from replicator.registry.manifest_removal import ManifestRemoval

DIGEST_FIELD = "Docker-Content-Digest"
SUBJECT_FIELD = "OCI-Subject"
_ACCEPT = ", ".join(ACCEPTED_MANIFESTS)
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")
_SAYS_NOTHING = frozenset({"", "application/json", "application/octet-stream"})
_NO_HEAD = frozenset({400, 403, 405, 406, 412, 501})


class Manifests(ManifestRemoval):
    """The manifests of one registry."""

    async def stat(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names, None when a registry (and not a proxy) says that it does not exist."""
        request = self._request(Operation.MANIFEST_STAT, "HEAD", repository, reference)
        return await self._stated(request, await self._exchange.ask(request), repository, reference)

    async def named(self, repository: Repository, reference: Reference, known: Digest) -> Digest | None:
        """Return the digest that `reference` names, None when a registry says that it does not exist.

        Where it is `known` still, the registry need not open the manifest, and most tell nobody of a pull (F8).
        """
        unless = {"If-None-Match": f'"{known}"'}
        request = self._request(Operation.MANIFEST_STAT, "HEAD", repository, reference, unless)
        reply = await self._exchange.ask(request)
        if reply.status == HTTPStatus.NOT_MODIFIED:
            return known
        found = await self._stated(request, reply, repository, reference)
        return None if found is None else found.digest

    async def _stated(
        self, request: Request, reply: Reply, repository: Repository, reference: Reference
    ) -> Descriptor | None:
        if reply.status == HTTPStatus.OK:
            descriptor = self._described(reply, reference)
            if descriptor is not None:
                return descriptor
        elif reply.status == HTTPStatus.NOT_FOUND:
            if _from_registry(reply):
                return None
        elif reply.status not in _NO_HEAD:
            raise self._exchange.failure(request, reply)
        # The head alone does not do: the answer to GET has a body that tells.
        try:
            found = await self.read(repository, reference)
        except NotFound:
            return None
        return Descriptor(found.media_type, found.digest, len(found.body))

    async def read(self, repository: Repository, reference: Reference) -> RawManifest:
        """Return the raw bytes, their digest computed and held against `reference` and the registry's own word.

        Raises NotFound, and ContentError when digest, size or media type are not what they should be.
        """
        request = self._request(Operation.MANIFEST_READ, "GET", repository, reference)
        reply = await self._exchange.ask(request, limit=MAX_MANIFEST)
        if reply.status != HTTPStatus.OK:
            raise self._exchange.failure(request, reply)
        name = f"manifest {shown(str(reference))} of {repository}"
        if _bare(reply) in SCHEMA1_TYPES:
            # Its digest is not that of its bytes, so it must be told apart before that is looked at.
            raise self._content(
                f"{name} is of schema 1, which cannot be copied; push the image again with a current client",
                Reason.UNSUPPORTED,
            )
        if len(reply.body) > MAX_MANIFEST:
            raise self._content(f"{name} is larger than {MAX_MANIFEST} bytes", Reason.UNSUPPORTED)
        claimed = self._claimed(reply)
        algorithm = (
            reference.algorithm if isinstance(reference, Digest) else claimed.algorithm if claimed else "sha256"
        )
        digest = Digest.of(reply.body, algorithm)
        if isinstance(reference, Digest) and digest != reference:
            raise self._content(f"{name} was asked for, the bytes hash to {digest}")
        if claimed is not None and claimed != Digest.of(reply.body, claimed.algorithm):
            raise self._content(f"{name} hashes to {digest}, the registry says {claimed}")
        return RawManifest(self._media_type(reply, name), digest, reply.body)

    async def write(self, repository: Repository, reference: Reference, manifest: RawManifest) -> None:
        """Put the bytes under `reference`. Returns once the registry is known to hold them there.

        Raises ManifestBlobUnknown when content that the manifest needs is missing.
        """
        request = Request(
            operation=Operation.MANIFEST_WRITE,
            method="PUT",
            target=self._exchange.endpoint.manifest(repository, reference),
            scopes=scope.push(repository),
            headers={"Content-Type": manifest.media_type},
            body=manifest.body,
        )
        try:
            reply = await self._exchange.ask(request)
        except RegistryError as error:
            if not is_outcome_unknown(error) or not await self._arrived(repository, reference, manifest):
                raise
            return
        if reply.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
            if not await self._holds(repository, reference, manifest):
                raise self._exchange.unexpected(request, reply, "but does not hold the manifest")
        elif reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            # A proxy may have given up on a registry that went on.
            arrived = await self._arrived(repository, reference, manifest)
            if not arrived:
                failed = self._exchange.failure(request, reply)
                raise _not_taken(failed, manifest) if arrived is not None and is_own_word(reply) else failed
            return
        elif reply.status != HTTPStatus.CREATED:
            raise self._exchange.failure(request, reply)
        if reply.fields.get(SUBJECT_FIELD):
            # It lists the manifest among the referrers of its subject by itself.
            self._capabilities.learn(Capability.REFERRERS, holds=True)
        claimed = self._claimed(reply)
        if claimed is not None and claimed != Digest.of(manifest.body, claimed.algorithm):
            raise self._content(f"{repository}: {manifest.digest} was put, the registry stored {claimed}")

    async def _arrived(self, repository: Repository, reference: Reference, manifest: RawManifest) -> bool | None:
        """Say whether a put of unknown outcome was done, None when the registry does not tell that either."""
        with contextlib.suppress(RegistryError, ContentError), anyio.move_on_after(UNKNOWN_OUTCOME_SECONDS):
            return await self._holds(repository, reference, manifest)
        return None

    async def _holds(self, repository: Repository, reference: Reference, manifest: RawManifest) -> bool:
        found = await self.stat(repository, reference)
        return found is not None and found.digest == Digest.of(manifest.body, found.digest.algorithm)

    def _request(
        self,
        operation: Operation,
        method: str,
        repository: Repository,
        reference: Reference,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Request:
        return Request(
            operation=operation,
            method=method,
            target=self._exchange.endpoint.manifest(repository, reference),
            scopes=scope.pull(repository),
            headers={"Accept": _ACCEPT, **headers},
        )

    def _described(self, reply: Reply, reference: Reference) -> Descriptor | None:
        """Return what a HEAD tells, None when something is missing in it."""
        try:
            claimed = self._claimed(reply)
        except ContentError:
            return None
        size = reply.fields.length()
        media_type = _bare(reply)
        if claimed is None or size is None or not _MEDIA_TYPE.fullmatch(media_type) or _says_nothing(media_type):
            return None
        if isinstance(reference, Digest) and claimed != reference:
            return None
        return Descriptor(media_type, claimed, size)

    def _claimed(self, reply: Reply) -> Digest | None:
        text = reply.fields.get(DIGEST_FIELD)
        if not text:
            return None
        try:
            return Digest.parse(text.strip())
        except NameInvalid as error:
            raise self._content(f"{DIGEST_FIELD} of {reply.target}: {error}") from error

    def _media_type(self, reply: Reply, name: str) -> str:
        """Return the type as served; the body's own word only where the header says nothing."""
        media_type = _bare(reply)
        if _says_nothing(media_type):
            try:
                document = strict_json.loads(reply.body, limit=MAX_MANIFEST)
            except strict_json.Invalid as error:
                raise self._content(f"{name}: {error}", Reason.UNSUPPORTED) from error
            declared = document.get("mediaType") if isinstance(document, dict) else None
            media_type = declared if isinstance(declared, str) else ""
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise self._content(f"{name} has no media type but {shown(media_type)}", Reason.UNSUPPORTED)
        return media_type

    def _content(self, problem: str, reason: Reason = Reason.DIGEST_MISMATCH) -> ContentError:
        registry = self._exchange.registry
        return ContentError(f"{registry}: {problem}", registry=registry, reason=reason)


def _bare(reply: Reply) -> str:
    return (reply.fields.get("Content-Type") or "").partition(";")[0].strip()


def _not_taken(failed: RegistryError, manifest: RawManifest) -> ManifestNotTaken:
    """Return what a server error means that a registry which is up gave to `manifest`, in words for an operator."""
    why = "it is up, so its log tells what is wrong with this manifest"
    with contextlib.suppress(ContentError):
        if manifests.parse(manifest, registry=failed.registry).foreign:
            why = "the manifest names layers that are served elsewhere, which some registries take only where allowed"
    return ManifestNotTaken(
        f"{failed}; {why}",
        registry=failed.registry,
        reason=failed.reason,
        temporary=failed.temporary,
        retry_after=failed.retry_after,
        status=failed.status,
        code=failed.code,
    )


def _says_nothing(media_type: str) -> bool:
    return media_type.lower() in _SAYS_NOTHING or media_type.lower().startswith("text/")


def _from_registry(reply: Reply) -> bool:
    # A HEAD has no body to judge by.
    return reply.fields.get(API_VERSION) is not None or "json" in _bare(reply).lower()
