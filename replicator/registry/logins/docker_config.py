"""The login that a file of Docker's or podman's holds, or leads to by a credential helper; for one registry alone."""

from pathlib import Path

from replicator.clock import Clock
from replicator.errors import SettingsError
from replicator.registry.logins.helper import ask_helper
from replicator.registry.logins.kept import Kept
from replicator.registry.logins.source import NoProof
from replicator.registry.origin import Origin
from replicator.settings import docker_config
from replicator.settings.docker_config import DockerConfig
from replicator.settings.proof import Proof

_HELPED_FOR = 300.0
"""Seconds; a helper does not say how long its answer is good."""
_HUB_HOST = "registry-1.docker.io"
_HUB_SERVER = "https://index.docker.io/v1/"
_Signature = tuple[int, int, int]


class DockerConfigSource:
    """Reads the file anew whenever it has changed, and asks the helper that it names every five minutes."""

    def __init__(self, path: Path, origin: Origin, clock: Clock) -> None:
        self._path = path
        hub = origin.host == _HUB_HOST
        names = (docker_config.HUB,) if hub else (origin.authority, f"{_host(origin)}:{origin.port}")
        self._hosts = tuple(dict.fromkeys(names))
        self._server = _HUB_SERVER if hub else origin.authority
        self._signature: _Signature | None = None
        self._config = DockerConfig()
        self._helper = ""
        self._helped = Kept(self._ask, clock)

    async def proof(self, repository: str) -> Proof:
        """Return the login for a repository. Raises NoProof when the file or the helper is of no use."""
        self._read()
        helper = self._config.helper(self._hosts)
        if helper != self._helper:
            self._helper = helper
            self._helped.forget()
        return await self._helped.proof() if helper else self._config.proof(self._hosts, repository)

    def absence(self, repository: str) -> str:
        """Name the file and the keys, or the helper, that had nothing for a repository."""
        if self._helper:
            return f"docker-credential-{self._helper}, which {self._path} names, has none for {self._server}"
        keys = " or ".join(docker_config.keys_of(self._hosts, repository))
        return f"the file {self._path} holds none under {keys}"

    def refused(self) -> None:
        """Ask the helper anew."""
        self._helped.refused()

    def forget(self) -> None:
        """Read the file and ask the helper anew."""
        self._signature = None
        self._helped.forget()

    async def _ask(self) -> tuple[Proof, float]:
        return await ask_helper(self._helper, self._server), _HELPED_FOR

    def _read(self) -> None:
        try:
            status = self._path.stat()
            signature = status.st_ino, status.st_mtime_ns, status.st_size
            if signature != self._signature:
                with self._path.open("rb") as file:
                    self._config = docker_config.read(file.read(docker_config.LONGEST + 1))
                self._signature = signature
        except OSError as error:
            raise NoProof(f"the file {self._path} cannot be read ({error.strerror})", temporary=True) from error
        except SettingsError as error:
            # It may be half written.
            raise NoProof(f"the file {self._path} cannot be used: {error}", temporary=True) from error


def _host(origin: Origin) -> str:
    return f"[{origin.host}]" if ":" in origin.host else origin.host
