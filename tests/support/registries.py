"""Real registries as processes on the loopback, each with its port and its data.

`run_registry` runs Debian's docker-registry (Distribution 2.8), `run_distribution3` CNCF Distribution 3; both notify,
ask for passwords or tokens and take the same options. `run_oci_registry` runs go-containerregistry's registry: OCI
1.1 with the referrers API; it sends no notifications, has no accounts and does not look for an image's blobs.
`RUNNERS` has all three by kind (the fixture `any_registry` is one after the other), `make_registry` makes one that is
not started yet. The last two programs are built by `make tools`; where that could not be, what needs them is skipped
with its reason. docs/registries.md tells what the three do differently.
"""

import contextlib
import http.client
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import anyio
import bcrypt
import yaml

from tests.support.ports import Port
from tests.support.processes import Process, require_tool
from tests.support.programs import require_program
from tests.support.scratch import memory_folder

_BLOB_TYPE = "application/octet-stream"
_R = TypeVar("_R", bound="Registry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A webhook endpoint of a registry, as Distribution configures it; durations in Go's words."""

    url: str
    name: str = "sink"
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    timeout: str = "1s"
    threshold: int = 3
    backoff: str = "100ms"
    ignore_actions: Sequence[str] = ("pull", "mount")
    ignore_media_types: Sequence[str] = (_BLOB_TYPE,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAuth:
    """Where clients fetch tokens and whose signatures the registry takes."""

    realm: str
    service: str
    issuer: str
    rootcertbundle: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTls:
    """A registry's certificate (with its key in one file), and whose certificates it asks clients for."""

    certificate: Path
    client_ca: Path | None = None


class RegistryOptions(TypedDict, total=False):
    """What can be chosen of a registry; defaults in the order of the fields."""

    notifications: Sequence[Notification]  # none
    token_auth: TokenAuth | None  # none: anonymous
    htpasswd: Mapping[str, str] | None  # user -> password; none
    delete: bool  # True
    read_only: bool  # False
    validation: bool  # True; False takes foreign layers with any URL
    sparse_index: bool  # False; True takes an index without its children (Distribution 3 only)
    cache: bool  # False: blob descriptors are looked up in the storage each time
    relative_urls: bool  # False: Location names the Host that the client used
    debug: str | None  # host:port of the debug listener, which has /metrics and /debug/vars; none
    tls: RegistryTls | None  # none: plain HTTP
    fast: bool  # True: storage in shared memory where there is one
    sections: Mapping[str, Any]  # none; top-level keys of its config.yml as they are


class Registry:
    """One registry with its port and data, which survive `stop` and `start`.

    Data lie in `.root` (a folder of its own, in shared memory when `fast`) until `discard`. Start it from the main
    thread.
    """

    def __init__(self, folder: Path, *, name: str = "registry", fast: bool = True) -> None:
        self.name = name
        self._port = Port()
        self._folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=folder))
        self.root = memory_folder() if fast else self._folder / "data"
        self._process: Process | None = None

    @property
    def host(self) -> str:
        """host:port, as skopeo and image references want it."""
        return f"127.0.0.1:{self._port.number}"

    @property
    def url(self) -> str:
        """Base URL without a slash at the end."""
        return f"http://{self.host}"

    @property
    def process(self) -> Process:
        """The running process."""
        if self._process is None:
            raise AssertionError(f"{self.name} is not running")
        return self._process

    @property
    def running(self) -> bool:
        """True between `start` and `stop`."""
        return self._process is not None

    async def start(self) -> None:
        """Start with the same port and data, and return when it answers."""
        self.launch()
        await anyio.to_thread.run_sync(self.wait_ready)

    async def stop(self) -> None:
        """Kill it; port and data are kept."""
        await anyio.to_thread.run_sync(self.kill)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        self.process.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        self.process.resume()

    def blob_file(self, digest: object) -> Path:
        """Return the file that holds a blob or a manifest, shared by all repositories of the registry."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start the process without waiting for it."""
        if self._process is not None:
            raise AssertionError(f"{self.name} runs already")
        # Distribution 3 would send its traces to a collector.
        environ = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
        self._process = Process(self._command(), log=self._folder / "log", cwd=self._folder, environ=environ)

    def wait_ready(self, within: float = 30.0) -> None:
        """Block until GET /v2/ answers (400, 401 count). Fails with the log when the process ends or time is up."""
        deadline = time.monotonic() + within
        while not _answers(self._port.number):
            code = self.process.exit_code
            if code is not None or time.monotonic() > deadline:
                log = self.process.tail()
                self.kill()
                raise AssertionError(f"{self.name} did not start (exit code {code}):\n{log}")
            time.sleep(0.01)

    def kill(self) -> None:
        """Block until the process is dead; port and data are kept."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def discard(self) -> None:
        """End for good: process, port and data."""
        self.kill()
        self._port.release()
        shutil.rmtree(self.root, ignore_errors=True)

    def _command(self) -> list[str]:
        raise NotImplementedError


class DockerRegistry(Registry):
    """A Distribution 2.8: Debian's docker-registry."""

    def __init__(self, folder: Path, *, name: str = "registry", **options: Unpack[RegistryOptions]) -> None:
        self.options = options
        super().__init__(folder, name=name, fast=options.get("fast", True))

    def blob_file(self, digest: object) -> Path:
        """Return the file that holds a blob or a manifest, shared by all repositories of the registry."""
        algorithm, _, encoded = str(digest).partition(":")
        return self.root / "docker/registry/v2/blobs" / algorithm / encoded[:2] / encoded / "data"

    @property
    def url(self) -> str:
        """Base URL without a slash at the end."""
        return f"{'http' if self.options.get('tls') is None else 'https'}://{self.host}"

    def _program(self) -> str:
        return require_tool("docker-registry")

    def _command(self) -> list[str]:
        config = self._folder / "config.yml"
        config.write_text(yaml.safe_dump(self._config()))
        return [self._program(), "serve", str(config)]

    def _config(self) -> dict[str, Any]:
        options = self.options
        storage: dict[str, Any] = {
            "filesystem": {"rootdirectory": str(self.root), "maxthreads": 100},
            "delete": {"enabled": options.get("delete", True)},
            "redirect": {"disable": True},
            "maintenance": {
                "uploadpurging": {"enabled": False},
                "readonly": {"enabled": options.get("read_only", False)},
            },
        }
        if options.get("cache", False):
            storage["cache"] = {"blobdescriptor": "inmemory"}
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": storage,
            "http": {
                "addr": self.host,
                "net": "tcp",
                # Upload sessions carry a state signed with it; a fixed one lets them live on over a restart.
                "secret": "tests",
                "relativeurls": options.get("relative_urls", False),
            },
            "health": {"storagedriver": {"enabled": False}},
        }
        if options.get("debug") is not None:
            config["http"]["debug"] = {"addr": options["debug"], "prometheus": {"enabled": True, "path": "/metrics"}}
        tls = options.get("tls")
        if tls is not None:
            config["http"]["tls"] = {"certificate": str(tls.certificate), "key": str(tls.certificate)}
            config["http"]["tls"] |= {} if tls.client_ca is None else {"clientcas": [str(tls.client_ca)]}
        config |= self._auth()
        if not options.get("validation", True):
            config["validation"] = {"disabled": True}
        elif options.get("sparse_index", False):
            config["validation"] = {"manifests": {"indexes": {"platforms": "none"}}}
        if options.get("notifications"):
            config["notifications"] = {"endpoints": [_endpoint(one) for one in options["notifications"]]}
        return config | dict(options.get("sections", {}))

    def _auth(self) -> dict[str, Any]:
        token, users = self.options.get("token_auth"), self.options.get("htpasswd")
        if token is not None:
            return {
                "auth": {
                    "token": {
                        "realm": token.realm,
                        "service": token.service,
                        "issuer": token.issuer,
                        "rootcertbundle": str(token.rootcertbundle),
                    }
                }
            }
        if users is not None:
            path = self._folder / "htpasswd"
            path.write_text("".join(f"{user}:{_bcrypt(word)}\n" for user, word in users.items()))
            return {"auth": {"htpasswd": {"realm": "tests", "path": str(path)}}}
        return {}


class Distribution3(DockerRegistry):
    """A CNCF Distribution 3; the same settings and the same files on disk."""

    def _program(self) -> str:
        return require_program("distribution3")


class OciRegistry(Registry):
    """An OCI 1.1 registry with the referrers API (tests/tools/programs/ociregistry)."""

    def blob_file(self, digest: object) -> Path:
        """Return the file that holds a blob, shared by all repositories of the registry. Manifests have none."""
        return self.root.joinpath(*str(digest).split(":"))

    def _command(self) -> list[str]:
        return [require_program("ociregistry"), "-listen", self.host, "-root", str(self.root)]


@contextlib.asynccontextmanager
async def run_registry(
    folder: Path, *, name: str = "registry", **options: Unpack[RegistryOptions]
) -> AsyncIterator[DockerRegistry]:
    """Run a Distribution 2.8 for one test; `folder` (tmp_path) may be shared by several."""
    async with _started(DockerRegistry(folder, name=name, **options)) as registry:
        yield registry


@contextlib.asynccontextmanager
async def run_distribution3(
    folder: Path, *, name: str = "registry", **options: Unpack[RegistryOptions]
) -> AsyncIterator[Distribution3]:
    """Run a Distribution 3 for one test."""
    async with _started(Distribution3(folder, name=name, **options)) as registry:
        yield registry


@contextlib.asynccontextmanager
async def run_oci_registry(folder: Path, *, name: str = "registry", fast: bool = True) -> AsyncIterator[OciRegistry]:
    """Run an OCI 1.1 registry for one test."""
    async with _started(OciRegistry(folder, name=name, fast=fast)) as registry:
        yield registry


Kind = Literal["distribution2", "distribution3", "oci"]
Runner = Callable[[Path], contextlib.AbstractAsyncContextManager[Registry]]
RUNNERS: Mapping[Kind, Runner] = {
    "distribution2": run_registry,
    "distribution3": run_distribution3,
    "oci": run_oci_registry,
}


def make_registry(
    kind: Kind,
    folder: Path,
    *,
    name: str,
    notifications: Sequence[Notification] = (),
    fast: bool = True,
    debug: str | None = None,
) -> Registry:
    """Make a registry that the caller launches and discards. Only a Distribution can notify or be debugged."""
    match kind:
        case "distribution2":
            return DockerRegistry(folder, name=name, notifications=notifications, fast=fast, debug=debug)
        case "distribution3":
            return Distribution3(folder, name=name, notifications=notifications, fast=fast, debug=debug)
        case "oci":
            if notifications or debug:
                raise AssertionError("the OCI 1.1 registry sends no notifications and has no debug address")
            return OciRegistry(folder, name=name, fast=fast)


@contextlib.asynccontextmanager
async def _started(registry: _R) -> AsyncIterator[_R]:
    try:
        await registry.start()
        yield registry
    finally:
        registry.discard()


def _endpoint(notification: Notification) -> dict[str, Any]:
    return {
        "name": notification.name,
        "url": notification.url,
        "headers": {key: list(values) for key, values in notification.headers.items()},
        "timeout": notification.timeout,
        "threshold": notification.threshold,
        "backoff": notification.backoff,
        "ignore": {
            "actions": list(notification.ignore_actions),
            "mediatypes": list(notification.ignore_media_types),
        },
    }


def _bcrypt(password: str) -> str:
    # The fewest rounds bcrypt allows: each request is checked anew by the registry.
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/v2/")
        # 400 is what a server says that wants TLS.
        return connection.getresponse().status in {200, 400, 401}
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
