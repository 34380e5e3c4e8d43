"""The registry as the rest of the daemon sees it: one configured registry, in words of the distribution-spec."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

from aiohttp.abc import AbstractResolver

from replicator.clock import Clock
from replicator.errors import ManifestBlobUnknown
from replicator.model import INDEX_TYPES, Descriptor, Digest, Operation, RawManifest, Reference, Repository, Tag
from replicator.proxies import proxies_of
from replicator.registry.answers import is_from_registry
from replicator.registry.authorizer import Authorizer
from replicator.registry.bandwidth import Bandwidth
from replicator.registry.blobs import BlobReader, Blobs
from replicator.registry.capabilities import Capabilities, Capability
from replicator.registry.endpoint import Endpoint
from replicator.registry.exchange import Exchange
from replicator.registry.gate import Gate, Limits
from replicator.registry.http import HttpObserver, Request, Timeouts
from replicator.registry.listing import Listing, TagList
from replicator.registry.login import Logins
from replicator.registry.logins.choose import creator_of, images_of, source_of
from replicator.registry.manifests import Manifests
from replicator.registry.own_lists.believed import OwnList, OwnLists
from replicator.registry.own_lists.choose import own_lists_of
from replicator.registry.probes import Probes
from replicator.registry.reach import Reach
from replicator.registry.referrers import Referrers
from replicator.registry.resumption import Resumer, Resumption
from replicator.registry.tag_delete_proof import TagDeleteProof
from replicator.registry.tls import tls_contexts
from replicator.registry.tokens import Tokens
from replicator.registry.transport import Transport
from replicator.registry.upload_requests import Body, UploadRequests, UploadSession
from replicator.registry.uploads import Uploads
from replicator.registry.wiring import Wiring
from replicator.settings.registries import PrimarySettings, ReplicaSettings


@dataclass(frozen=True, slots=True)
class Parts:
    """What a client is made of."""

    exchange: Exchange
    transport: Transport
    capabilities: Capabilities
    clock: Clock
    own_lists: tuple[OwnList, ...] = ()


class RegistryClient:
    """One configured registry. Raises ContentError and the RegistryError family. Close it, or use `async with`."""

    def __init__(self, parts: Parts) -> None:
        self.name = parts.exchange.registry
        self.max_connections = parts.transport.max_connections
        self.capabilities = parts.capabilities
        self._exchange = parts.exchange
        self._transport = parts.transport
        self._manifests = Manifests(parts.exchange, parts.capabilities)
        self._referrers = Referrers(parts.exchange, parts.capabilities)
        self._blobs = Blobs(parts.exchange, parts.capabilities)
        requests = UploadRequests(parts.exchange, self._blobs)
        self._probes = Probes(self._manifests, self._referrers, requests, parts.capabilities, parts.clock)
        self._tag_deletes = TagDeleteProof(self._manifests, requests, parts.capabilities)
        resumer = Resumer(requests, self._probes, parts.capabilities, parts.clock)
        self._uploads = Uploads(parts.exchange, self._blobs, parts.capabilities, resumer)
        own = OwnLists(parts.own_lists, parts.capabilities, self._manifests.named)
        self._listing = Listing(parts.exchange, parts.capabilities, own)

    @property
    def latency(self) -> float:
        """How long the quickest answers took of late, seconds; 0 as long as there was none."""
        return self._transport.latency

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names; None only when the registry itself says that it does not exist."""
        return await self._manifests.stat(repository, reference)

    async def named(self, repository: Repository, reference: Reference, known: Digest) -> Digest | None:
        """Return the digest that `reference` names, None for nothing; a registry tells least where it is `known`."""
        return await self._manifests.named(repository, reference, known)

    async def read_manifest(self, repository: Repository, reference: Reference) -> RawManifest:
        """Return the raw bytes, hash-checked. Raises NotFound, ContentError."""
        return await self._manifests.read(repository, reference)

    async def write_manifest(self, repository: Repository, reference: Reference, manifest: RawManifest) -> None:
        """Put the raw bytes under `reference`. Raises ManifestBlobUnknown when content is missing there.

        That refusal of an image is kept as a proof of CHECKS_MANIFESTS.
        """
        try:
            await self._manifests.write(repository, reference, manifest)
        except ManifestBlobUnknown:
            if manifest.media_type not in INDEX_TYPES:  # a look for child manifests proves no look for blobs
                self.capabilities.learn(Capability.CHECKS_MANIFESTS, holds=True)
            raise

    async def delete_tag(self, repository: Repository, tag: Tag) -> None:
        """Remove a tag. Raises RegistryError with reason UNSUPPORTED where the registry cannot: kept as a proof."""
        await self._manifests.delete_tag(repository, tag)

    async def delete_manifest(self, repository: Repository, digest: Digest) -> None:
        """Remove a manifest and every tag that names it; one that is not there is removed. Raises RegistryError."""
        await self._manifests.delete(repository, digest)

    async def referrers(self, repository: Repository, subject: Digest) -> tuple[Descriptor, ...] | None:
        """Return what refers to `subject` as the referrers API says, None where the registry has none."""
        return await self._referrers.listed(repository, subject)

    async def has_blob(self, repository: Repository, descriptor: Descriptor) -> bool:
        """Say whether `repository` holds the blob. Raises ContentError when it holds one of another size."""
        return await self._blobs.has(repository, descriptor)

    def open_blob(
        self, repository: Repository, descriptor: Descriptor, offset: int = 0, length: int | None = None
    ) -> AbstractAsyncContextManager[BlobReader]:
        """Open `length` bytes of the blob from `offset` on (None: all that follow); they are not hashed here.

        Raises NotFound, ContentError; for a `length` RegistryError where the registry serves no parts.
        """
        return self._blobs.open(repository, descriptor, offset, length)

    async def mount_blob(
        self, repository: Repository, descriptor: Descriptor, source_repository: Repository | None
    ) -> UploadSession | None:
        """Mount a blob of another repository of this registry: None when done, else a session to send it in.

        Without a `source_repository` the registry is left to find the blob (anonymous mount).
        """
        return await self._uploads.mount(repository, descriptor, source_repository)

    async def start_upload(self, repository: Repository) -> UploadSession:
        """Open an upload session; its rights to push are proven by that."""
        return await self._uploads.start(repository)

    async def send_blob(
        self,
        repository: Repository,
        descriptor: Descriptor,
        body: Body,
        session: UploadSession | None = None,
        resumption: Resumption | None = None,
    ) -> None:
        """Send a blob; returns once the registry is known to hold it.

        `body` is called for each try and gives the bytes from the first one; it verifies them, and what it raises
        comes out of here as that very exception. With a `resumption` an upload that was cut, now or in a former life,
        goes on where it stopped, if the registry is proven to keep its bytes.
        """
        await self._uploads.send(repository, descriptor, body, session, resumption)

    def reopen_upload(self, repository: Repository, location: str) -> UploadSession:
        """Return the session at a place that was kept. Raises RegistryError when uploads may not go there."""
        return self._uploads.reopened(repository, location)

    async def cancel_upload(self, session: UploadSession) -> None:
        """Give a session up, best effort, within 5 s."""
        await self._uploads.cancel(session)

    async def prove_checks_manifests(self, repository: Repository) -> bool | None:
        """Say whether the registry refuses manifests whose blobs are missing; found out once, in `repository`.

        One small put by digest of a manifest that nobody can name; None when the answer proves nothing. Raises
        RegistryError where trying again may help.
        """
        return await self._probes.checks_manifests(repository)

    async def prove_checks_digests(self, repository: Repository) -> bool | None:
        """Say whether the registry refuses a blob whose bytes are not its digest's; as `prove_checks_manifests`."""
        return await self._probes.checks_digests(repository)

    async def prove_resumes(self, repository: Repository) -> bool | None:
        """Say whether uploads that are cut go on; tried once with a small one that is dropped."""
        return await self._probes.resumes(repository)

    async def prove_sparse_index(self, repository: Repository) -> bool | None:
        """Say whether an index without its children is taken; as `prove_checks_manifests`."""
        return await self._probes.sparse_index(repository)

    async def prove_tag_delete(self, repository: Repository) -> bool | None:
        """Say False where tags cannot be removed, asked with one that never was; True is never proven so."""
        return await self._probes.tag_delete(repository)

    async def prove_tag_delete_alone(self, repository: Repository) -> bool | None:
        """Say whether a tag is removed and its manifest left; shown once, with a small artifact of two tags.

        None where that shows nothing. Raises RegistryError, before anything is put where no tag may be removed.
        """
        return await self._tag_deletes.prove(repository)

    async def prove_referrers(self, repository: Repository) -> bool | None:
        """Say whether there is a referrers API: one read, for a digest that nobody has."""
        return await self._probes.referrers(repository)

    def tags(self, repository: Repository) -> AsyncIterator[Tag]:
        """Yield all tags, page by page. Raises NotFound for a repository that does not exist or is empty."""
        return self._listing.tags(repository)

    async def all_tags(self, repository: Repository, *, digests: bool = False) -> TagList:
        """Return all tags at once, and whether the list is surely whole. Raises RegistryError.

        With `digests` their digests too, as far as a list tells them.
        """
        return await self._listing.all_tags(repository, digests=digests)

    async def few_tags(self, repository: Repository, most: int) -> frozenset[Tag] | None:
        """Return all tags, None where there are more than `most` or a list is refused. Raises RegistryError."""
        return await self._listing.few_tags(repository, most)

    def repositories(self) -> AsyncIterator[Repository]:
        """Yield all repositories, page by page. Raises RegistryError where there is no catalog."""
        return self._listing.repositories()

    async def ping(self) -> None:
        """Return when a registry answers there and takes our login. Raises RegistryError."""
        request = Request(operation=Operation.PING, method="GET", target=self._exchange.endpoint.api)
        reply = await self._exchange.ask(request)
        if reply.status != HTTPStatus.OK:
            raise self._exchange.failure(request, reply)
        if not is_from_registry(reply) and not reply.body.lstrip().startswith(b"{"):
            raise self._exchange.unexpected(request, reply, "but not as a registry; is the URL right?")

    def credentials_changed(self) -> None:
        """Log in anew from now on: a refusal of the former credentials says nothing about these."""
        self._exchange.credentials_changed()

    async def close(self) -> None:
        """End all connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def open_registry(
    settings: PrimarySettings | ReplicaSettings,
    *,
    clock: Clock,
    observer: HttpObserver | None = None,
    timeouts: Timeouts | None = None,
    resolver: AbstractResolver | None = None,
    environ: Mapping[str, str] = os.environ,
) -> RegistryClient:
    """Return a client for a configured registry; nothing is sent yet. `environ` may name proxies.

    Raises SettingsError for TLS files that cannot be used, and for a proxy of the environment that is none.
    """
    endpoint = Endpoint.of(settings.url)
    reach = Reach(
        registry=settings.name,
        origin=endpoint.origin,
        realm_allow=frozenset(settings.realm_allow),
        redirect_allow=frozenset(settings.redirect_allow),
    )
    proxies = proxies_of(settings.proxy, environ)
    limits = Limits(max_connections=settings.max_connections, requests=settings.requests)
    wiring = Wiring(
        reach=reach,
        tls=tls_contexts(settings.tls),
        clock=clock,
        timeouts=timeouts or Timeouts(),
        max_connections=settings.max_connections,
        gate=Gate(settings.name, limits, clock, observer),
        bandwidth=None if settings.bandwidth is None else Bandwidth(settings.bandwidth, clock),
        observer=observer,
        resolver=resolver,
        proxies=proxies,
    )
    transport = Transport(wiring)
    logins = Logins(settings.name, source_of(settings, proxies, endpoint.origin, transport, clock))
    authorizer = Authorizer(logins, reach, Tokens(logins, transport, clock), clock)
    creator = creator_of(settings, proxies, endpoint.origin)
    exchange = Exchange(endpoint, reach, authorizer, transport, clock, creator)
    capabilities = Capabilities.of(settings, clock)
    own_lists = own_lists_of(exchange, capabilities, images_of(settings, proxies, endpoint.origin, clock))
    return RegistryClient(Parts(exchange, transport, capabilities, clock, own_lists))
