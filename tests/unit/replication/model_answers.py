"""What the registry in memory answers where that takes more than a look."""

from collections.abc import Iterable, Mapping

from replicator.errors import ManifestBlobUnknown, Reason, RegistryError
from replicator.manifest import parse
from replicator.model import Descriptor, Digest, RawManifest, Reference, Repository, Tag
from replicator.registry.listing import TagList


def referrers_of(
    manifests: Mapping[tuple[Repository, Digest], RawManifest], repository: Repository, subject: Digest
) -> tuple[Descriptor, ...]:
    """Return the manifests of a repository that name `subject`."""
    held = (raw for (where, _), raw in manifests.items() if where == repository)
    named = ((raw, parse(raw, registry="model").subject) for raw in held)
    return tuple(
        Descriptor(raw.media_type, raw.digest, len(raw.body))
        for raw, whom in named
        if whom is not None and whom.digest == subject
    )


def few(tags: Iterable[tuple[Repository, Reference]], repository: Repository, most: int) -> frozenset[Tag] | None:
    """Return the tags of a repository, None where there are more than `most`."""
    found = frozenset(Tag(str(tag)) for where, tag in tags if where == repository)
    return found if len(found) <= most else None


def incomplete(registry: str, manifest: RawManifest, missing: Iterable[Digest]) -> ManifestBlobUnknown:
    """Return the refusal of a manifest of which something is `missing`."""
    error = ManifestBlobUnknown(f"{registry}: content of {manifest.digest} is missing", registry=registry, status=404)
    error.missing = frozenset(map(str, missing))
    return error


def network_error(registry: str, reason: Reason = Reason.NETWORK) -> RegistryError:
    """Return what the client raises when a registry cannot be reached or a connection breaks."""
    return RegistryError(f"{registry}: connection lost", registry=registry, reason=reason, temporary=True)


def listed(tags: Iterable[tuple[Repository, Reference]], repository: Repository) -> TagList:
    """Return the list of a repository's tags, which is not sure to be whole where there are none."""
    found = {Tag(str(tag)): None for where, tag in tags if where == repository}
    return TagList(found, whole=bool(found))


def names_blob(
    manifests: Mapping[tuple[Repository, Digest], RawManifest], repository: Repository, blob: Digest
) -> bool:
    """Say whether a manifest of a repository names a blob."""
    held = (raw for (where, _), raw in manifests.items() if where == repository)
    return any(blob in {one.digest for one in parse(raw, registry="model").blobs} for raw in held)
