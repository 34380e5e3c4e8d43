"""The `/v2/` URLs of one configured registry (distribution-spec "Endpoints"). Pure."""

from dataclasses import dataclass
from urllib.parse import quote

from replicator.errors import SettingsError
from replicator.model import Digest, Reference, Repository, parse_reference, parse_repository, shown
from replicator.registry.origin import Origin, Target, parse_url

_HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
_HUB = Origin("https", "registry-1.docker.io", 443)


def quoted(text: object) -> str:
    """Return a value encoded for a query."""
    return quote(str(text), safe="")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a registry is. Docker Hub's other names, and its `library/`, are understood.

    Names are held against the grammar once more, so that none can end a path or a line. Raises NameInvalid.
    """

    origin: Origin

    @classmethod
    def of(cls, url: str) -> "Endpoint":
        """Return the endpoint at a configured URL. Raises SettingsError when it is none."""
        target = parse_url(url)
        if target is None or target.path != "/" or target.query is not None:
            raise SettingsError(f"{shown(url)} is not the URL of a registry; write https://HOST or https://HOST:PORT")
        return cls(_HUB if target.origin.host in _HUB_NAMES else target.origin)

    @property
    def api(self) -> Target:
        """Where a registry says that it is one."""
        return Target(self.origin, "/v2/")

    @property
    def catalog(self) -> Target:
        """The list of repositories."""
        return Target(self.origin, "/v2/_catalog")

    def manifest(self, repository: Repository, reference: Reference) -> Target:
        """Return the URL of a manifest by tag or digest."""
        return self._under(repository, f"manifests/{parse_reference(str(reference))}")

    def blob(self, repository: Repository, digest: Digest) -> Target:
        """Return the URL of a blob."""
        return self._under(repository, f"blobs/{Digest.parse(str(digest))}")

    def uploads(self, repository: Repository) -> Target:
        """Return the URL where uploads begin."""
        return self._under(repository, "blobs/uploads/")

    def tags(self, repository: Repository) -> Target:
        """Return the URL of the list of tags."""
        return self._under(repository, "tags/list")

    def referrers(self, repository: Repository, subject: Digest) -> Target:
        """Return the URL of the list of a digest's referrers."""
        return self._under(repository, f"referrers/{Digest.parse(str(subject))}")

    def named(self, repository: Repository) -> str:
        """Return the repository's name as this registry knows it."""
        name = parse_repository(repository)
        return f"library/{name}" if self.origin == _HUB and "/" not in name else name

    def _under(self, repository: Repository, tail: str) -> Target:
        return Target(self.origin, f"/v2/{self.named(repository)}/{tail}")
