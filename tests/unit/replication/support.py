"""A registry in memory that does what a test tells it: the careless one of G2, with faults where the test wants them.

It passes the contract that the real client passes over HTTP (tests/contract/test_model_registry.py).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from replicator.clock import SystemClock
from replicator.errors import ContentError, NotFound, Reason, RegistryError
from replicator.manifest import parse
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository, Tag
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.listing import TagList
from replicator.registry.origin import parse_url
from replicator.registry.resumption import Resumption
from replicator.registry.upload_requests import UploadSession
from tests.support.content import Blob, Content
from tests.unit.replication.model_answers import few, incomplete, listed, names_blob, network_error, referrers_of
from tests.unit.replication.model_calls import Call, Hook, Op
from tests.unit.replication.model_uploads import Held, ModelUploads

__all__ = ["CHUNK", "Call", "Hook", "ModelRegistry", "Op", "descriptor", "network_error"]
CHUNK = 256 * 1024
_ANY = Digest.of(b"")  # what an upload session is for is not said when it is opened


async def _nothing(_call: Call) -> None:
    await asyncio.sleep(0)


@dataclass(slots=True)
class ModelRegistry:
    """Content by repository, as a registry keeps it; `hook` is awaited at each moment and may wait or raise.

    `strict`: a manifest whose content is missing is refused. `mounts`: it mounts blobs, `mounts_unreferenced`: also
    those that no manifest of the other repository names, `mounts_anonymously`: also without being told from where.
    `chunk`: bytes a read gives at a time; `empty_pieces` come between them, and `tamper` may change them. Without
    `tells_of_short_bodies` a read ends in peace however few bytes it gave. Without `uploads` those that are cut end.
    """

    name: str
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(SystemClock()))
    max_connections: int = 32
    latency: float = 0.0
    serves_ranges: bool = True
    strict: bool = False
    mounts: bool = True
    mounts_unreferenced: bool = True
    mounts_anonymously: bool = False
    chunk: int = CHUNK
    empty_pieces: bool = False
    has_referrers_api: bool = False
    takes_sparse_index: bool = False
    deletes_tags: bool | None = True
    wants_foreign_layers: bool = False
    tells_of_short_bodies: bool = True
    uploads: ModelUploads | None = None
    hook: Hook = _nothing
    tamper: Callable[[bytes], bytes] | None = None
    data: dict[Digest, bytes] = field(default_factory=dict, repr=False)
    links: set[tuple[Repository, Digest]] = field(default_factory=set, repr=False)
    manifests: dict[tuple[Repository, Digest], RawManifest] = field(default_factory=dict, repr=False)
    tags: dict[tuple[Repository, Reference], Digest] = field(default_factory=dict, repr=False)
    calls: list[Call] = field(default_factory=list, repr=False)
    open_reads: int = 0
    most_open: int = 0
    bytes_read: int = 0
    sessions: int = 0
    cancelled: int = 0
    corrupt: list[Digest] = field(default_factory=list)

    # What tests do to it

    def hold(self, repository: Repository, content: Content, tag: Tag | None = None) -> Digest:
        """Hold an image or an index as if it had been pushed."""
        for blob in content.blobs():
            self.hold_blob(repository, blob)
        for one in content.manifests():
            self.manifests[repository, one.digest] = RawManifest(one.media_type, one.digest, one.body)
        if tag is not None:
            self.tags[repository, tag] = content.digest
        return content.digest

    def hold_blob(self, repository: Repository, blob: Blob) -> None:
        """Hold one blob."""
        self.keep_blob(repository, blob.digest, blob.read())

    def keep_blob(self, repository: Repository, digest: Digest, data: bytes) -> None:
        """Hold these bytes as a blob."""
        self.data[digest] = data
        self.links.add((repository, digest))

    def lose(self, repository: Repository, digest: Digest) -> None:
        """Forget a blob or manifest, as garbage collection or an operator would."""
        self.links.discard((repository, digest))
        self.manifests.pop((repository, digest), None)

    def count(self, op: Op, reference: Reference | None = None) -> int:
        """Return how often something was asked."""
        return sum(call.op is op and reference in {None, call.reference} for call in self.calls)

    def complete(self, repository: Repository, reference: Reference) -> bool:
        """Say whether all that a reference needs is there, byte for byte (G2, G3)."""
        raw = self._find(repository, reference)
        if raw is None or Digest.of(raw.body, raw.digest.algorithm) != raw.digest:
            return False
        needs = parse(raw, registry=self.name)
        return all(self._whole(repository, blob) for blob in needs.blobs) and all(
            (child.digest in self.data and self._whole(repository, child)) or self.complete(repository, child.digest)
            for child in needs.children
        )

    # Source and Replica

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what a reference names."""
        await self._at(Op.STAT, repository, reference)
        raw = self._find(repository, reference)
        return None if raw is None else Descriptor(raw.media_type, raw.digest, len(raw.body))

    async def read_manifest(self, repository: Repository, reference: Reference) -> RawManifest:
        """Return raw bytes."""
        await self._at(Op.READ, repository, reference)
        raw = self._find(repository, reference)
        if raw is None:
            raise self._not_found(f"manifest {reference}", "MANIFEST_UNKNOWN")
        return raw

    async def write_manifest(self, repository: Repository, reference: Reference, manifest: RawManifest) -> None:
        """Keep a manifest and let the reference name it."""
        await self._at(Op.WRITE, repository, reference)
        needs = parse(manifest, registry=self.name)
        wanted = (*needs.blobs, *(needs.foreign if self.wants_foreign_layers else ()))
        wanted += () if self.takes_sparse_index else needs.children
        missing = [one.digest for one in wanted if (repository, one.digest) not in self.links | self.manifests.keys()]
        if self.strict and missing:
            if not needs.children:
                self.capabilities.learn(Capability.CHECKS_MANIFESTS, holds=True)
            raise incomplete(self.name, manifest, missing)
        if self.has_referrers_api and needs.subject is not None:
            self.capabilities.learn(Capability.REFERRERS, holds=True)
        self.manifests[repository, manifest.digest] = manifest
        if not isinstance(reference, Digest):
            self.tags[repository, reference] = manifest.digest
        await self._at(Op.WROTE, repository, reference)

    async def prove_checks_manifests(self, repository: Repository) -> bool | None:
        """Say what `strict` says."""
        del repository
        self.capabilities.learn(Capability.CHECKS_MANIFESTS, self.strict)
        return self.strict

    async def prove_sparse_index(self, repository: Repository) -> bool | None:
        """Say what `takes_sparse_index` says."""
        del repository
        self.capabilities.learn(Capability.SPARSE_INDEX, self.takes_sparse_index)
        return self.takes_sparse_index

    async def prove_tag_delete_alone(self, repository: Repository) -> bool | None:
        """Say what `deletes_tags` says."""
        del repository
        if self.deletes_tags is not None:
            self.capabilities.learn(Capability.TAG_DELETE, self.deletes_tags)
        return self.deletes_tags

    async def delete_tag(self, repository: Repository, tag: Tag) -> None:
        """Remove a tag and leave its manifest."""
        await self._at(Op.DELETE, repository, tag)
        self.tags.pop((repository, tag), None)
        await self._at(Op.DELETED, repository, tag)

    async def delete_manifest(self, repository: Repository, digest: Digest) -> None:
        """Remove a manifest with all tags that name it."""
        await self._at(Op.DELETE, repository, digest)
        self.manifests.pop((repository, digest), None)
        self.tags = {key: named for key, named in self.tags.items() if (key[0], named) != (repository, digest)}
        await self._at(Op.DELETED, repository, digest)

    async def all_tags(self, repository: Repository) -> TagList:
        """Return all tags; of a repository without any it is not sure, as a registry that answers 404."""
        await self._at(Op.TAGS, repository, Tag("list"))
        return listed(self.tags, repository)

    async def prove_checks_digests(self, repository: Repository) -> bool | None:
        """Say yes: what is sent is checked."""
        del repository
        self.capabilities.learn(Capability.CHECKS_DIGESTS, holds=True)
        return True

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Return what names `subject`, where there is the API."""
        await self._at(Op.REFERRERS, repository, subject)
        self.capabilities.learn(Capability.REFERRERS, self.has_referrers_api)
        return referrers_of(self.manifests, repository, subject) if self.has_referrers_api else None

    async def few_tags(self, repository: Repository, most: int) -> frozenset[Tag] | None:
        """Return all tags, None where there are more."""
        await self._at(Op.TAGS, repository, Tag("list"))
        return few(self.tags, repository, most)

    async def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether a repository has a blob."""
        await self._at(Op.HAS, repository, descriptor.digest)
        if (repository, descriptor.digest) not in self.links:
            return False
        if len(self.data[descriptor.digest]) != descriptor.size:
            raise ContentError(f"{self.name}: blob {descriptor.digest} has another size", registry=self.name)
        return True

    @asynccontextmanager
    async def open_blob(
        self, repository: Repository, descriptor: Descriptor, offset: int = 0, length: int | None = None
    ) -> AsyncIterator["ModelReader"]:
        """Open a blob's bytes."""
        await self._at(Op.OPEN, repository, descriptor.digest, offset)
        if (repository, descriptor.digest) not in self.links:
            raise self._not_found(f"blob {descriptor.digest}")
        if length or (offset and length is None):
            self.capabilities.learn(Capability.RANGES, self.serves_ranges)
        if length is not None and not self.serves_ranges:
            raise RegistryError(f"{self.name}: all bytes though only some were asked for", registry=self.name)
        self.open_reads += 1
        self.most_open = max(self.most_open, self.open_reads)
        try:
            yield ModelReader(self, repository, descriptor, offset, length)
        finally:
            self.open_reads -= 1

    async def mount_blob(
        self, repository: Repository, descriptor: Descriptor, source_repository: Repository | None
    ) -> UploadSession | None:
        """Link a blob of another repository, or open a session."""
        await self._at(Op.MOUNT, repository, descriptor.digest)
        if self._mountable(descriptor.digest, source_repository):
            self.links.add((repository, descriptor.digest))
            return None
        return self._session(repository)

    async def start_upload(self, repository: Repository) -> UploadSession:
        """Open a session."""
        await self._at(Op.START, repository, _ANY)
        return self._session(repository)

    async def cancel_upload(self, session: UploadSession) -> None:
        """Give a session up."""
        await self._at(Op.CANCEL, session.repository, _ANY)
        self.cancelled += 1
        if self.uploads is not None:
            self.uploads.held.pop(session.target.path, None)

    async def send_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        body: Callable[[], AsyncIterator[bytes]],
        session: UploadSession | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        """Take a blob; one that is not what its digest says is refused and noted."""
        if self.uploads is not None and resumption is not None:
            await self.uploads.send(self, self._at, repository, descriptor, body, session, resumption)
            return
        opened = session or self._session(repository)
        if opened.repository != repository:
            raise AssertionError("an upload session belongs to one repository")
        await self._at(Op.SEND, repository, descriptor.digest)
        got = bytearray()
        async for piece in body():
            got += piece
            await self._at(Op.GOT, repository, descriptor.digest, len(got))
        if len(got) != descriptor.size or Digest.of(bytes(got), descriptor.digest.algorithm) != descriptor.digest:
            self.corrupt.append(descriptor.digest)
            raise RegistryError(f"{self.name}: wrong bytes", registry=self.name, status=400, code="DIGEST_INVALID")
        self.keep_blob(repository, descriptor.digest, bytes(got))
        await self._at(Op.SENT, repository, descriptor.digest, len(got))

    def reopen_upload(self, repository: Repository, location: str) -> UploadSession:
        """Return the session that was kept."""
        place = parse_url(location)
        if place is None:
            raise RegistryError(f"{self.name}: {location} is no place", registry=self.name)
        return UploadSession(repository, place)

    # Inside

    def _mountable(self, digest: Digest, source_repository: Repository | None) -> bool:
        if not self.mounts or (source_repository is None and not self.mounts_anonymously):
            return False
        held = {repository for repository, one in self.links if one == digest}
        if not self.mounts_unreferenced:
            held = {one for one in held if names_blob(self.manifests, one, digest)}
        return source_repository in held if source_repository is not None else bool(held)

    async def _at(self, op: Op, repository: Repository, reference: Reference, offset: int = 0) -> None:
        call = Call(self.name, op, repository, reference, offset)
        self.calls.append(call)
        await self.hook(call)

    def _find(self, repository: Repository, reference: Reference) -> RawManifest | None:
        digest = reference if isinstance(reference, Digest) else self.tags.get((repository, reference))
        return None if digest is None else self.manifests.get((repository, digest))

    def _whole(self, repository: Repository, blob: Descriptor) -> bool:
        held = self.data.get(blob.digest)
        return (
            (repository, blob.digest) in self.links
            and held is not None
            and len(held) == blob.size
            and hashlib.new(blob.digest.algorithm, held).hexdigest() == blob.digest.encoded
        )

    def _session(self, repository: Repository) -> UploadSession:
        self.sessions += 1
        place = parse_url(f"http://{self.name}.example.com/v2/{repository}/blobs/uploads/{self.sessions}")
        if place is None:
            raise AssertionError(repository)
        if self.uploads is not None:
            self.uploads.held[place.path] = Held()
        return UploadSession(repository, place)

    def _not_found(self, what: str, code: str = "") -> NotFound:
        return NotFound(f"{self.name}: no {what}", registry=self.name, reason=Reason.NOT_FOUND, status=404, code=code)


class ModelReader:
    """An open read of one blob."""

    def __init__(
        self,
        registry: ModelRegistry,
        repository: Repository,
        descriptor: Descriptor,
        offset: int,
        length: int | None,
    ) -> None:
        self._registry = registry
        self._call = (repository, descriptor.digest)
        self._size = descriptor.size
        self._offset = offset
        self._end = descriptor.size if length is None else offset + length
        self._part = length is not None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes that the registry holds, as the client does: too many or too few are errors."""
        registry, (repository, digest) = self._registry, self._call
        data = registry.data[digest][: self._end] if self._part else registry.data[digest]
        for start in range(self._offset, len(data), registry.chunk):
            await registry._at(Op.CHUNK, repository, digest, start)  # noqa: SLF001 -- two halves of one fake
            piece = data[start : start + registry.chunk]
            if start + len(piece) > self._size:
                raise ContentError(f"{registry.name}: blob {digest} is longer than it says", registry=registry.name)
            registry.bytes_read += len(piece)
            if registry.tamper is not None:
                piece = registry.tamper(piece)
            if registry.empty_pieces:
                yield b""
            yield piece
        await registry._at(Op.END, repository, digest, len(data))  # noqa: SLF001 -- two halves of one fake
        if len(data) < self._end and registry.tells_of_short_bodies:
            raise network_error(registry.name)


def descriptor(blob: Blob) -> Descriptor:
    """Return a blob's descriptor."""
    return Descriptor(blob.media_type, blob.digest, blob.size)
