"""Whether a replica holds a manifest, asked of the replica itself."""

from collections.abc import Mapping

from replicator.admin.ports import Source
from replicator.model import Digest, Repository, parse_repository


class RegistryPresence:
    """Answers `Presence` by one stat of the manifest, by digest, under the replica's repository prefix."""

    def __init__(self, registries: Mapping[str, Source], prefixes: Mapping[str, str]) -> None:
        self._registries = registries
        self._prefixes = prefixes

    async def holds(self, replica: str, repository: Repository, digest: Digest) -> bool:
        """Return whether `replica` serves `digest`. Raises RegistryError, ContentError, NameInvalid."""
        name = parse_repository(f"{self._prefixes.get(replica, '')}{repository}")
        found = await self._registries[replica].stat_manifest(name, digest)
        return found is not None and found.digest == digest
