"""The platform of one image, as its config says it (image-spec "Image Configuration")."""

from collections.abc import Sequence
from typing import Final

from replicator import strict_json
from replicator.errors import ContentError
from replicator.manifest import Manifest
from replicator.model import Descriptor, Digest, Platform, Repository
from replicator.platforms import UNKNOWN, matches
from replicator.replication.ports import Source

CONFIG_MAX: Final = 1024 * 1024
"""Bytes of the largest config that is read for this."""
_CONFIGS = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})


async def is_of_other_platform(
    source: Source, repository: Repository, image: Manifest, wanted: Sequence[Platform]
) -> bool:
    """Say whether `image` is one that a person would run, on a platform that is not `wanted`.

    Indexes, artifacts and images that do not say their platform are not. Raises RegistryError, ContentError.
    """
    config = next((blob for blob in image.blobs[:1] if blob.media_type in _CONFIGS), None)
    if config is None or config.size > CONFIG_MAX:
        return False
    platform = _platform(await _read(source, repository, config))
    return platform is not None and not any(matches(platform, one) for one in wanted)


async def _read(source: Source, repository: Repository, config: Descriptor) -> bytes:
    if config.data is not None:
        return config.data
    async with source.open_blob(repository, config) as reader:
        data = b"".join([chunk async for chunk in reader.chunks()])
    if Digest.of(data, config.digest.algorithm) != config.digest:
        raise ContentError(f"{source.name}: config {config.digest} has other bytes", registry=source.name)
    return data


def _platform(config: bytes) -> Platform | None:
    try:
        document = strict_json.loads(config, limit=CONFIG_MAX)
    except strict_json.Invalid:
        return None
    if not isinstance(document, dict):
        return None
    system, architecture, variant = (document.get(key) for key in ("os", "architecture", "variant"))
    if not isinstance(system, str) or not isinstance(architecture, str) or UNKNOWN in {system, architecture}:
        return None
    if not system or not architecture:
        return None
    return Platform(system, architecture, variant if isinstance(variant, str) else "")
