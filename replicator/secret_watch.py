"""Files of secrets and certificates, looked at every few seconds: what was rotated is used without being told."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

import anyio.to_thread
import structlog

from replicator.errors import SettingsError
from replicator.intake.server_tls import ServerTls
from replicator.reload import Reloader, ReloadEvent
from replicator.settings.credentials import Credentials
from replicator.settings.proxies import ProxySettings
from replicator.settings.registries import Tls
from replicator.settings.schema import Settings
from replicator.settings.secrets import Secret
from replicator.settings.section import Section
from replicator.world import Ground, configured
from replicator.worlds import Worlds

LOOK_EVERY = 5.0

_log = structlog.get_logger(__name__)
_Signature = tuple[int, int, int]
"""Of the file at the end of all links, so that a link put elsewhere counts too (as Kubernetes does it)."""


class SecretEvent(StrEnum):
    """Names of the log lines about files that changed."""

    SECRET_CHANGED = "secret_changed"  # noqa: S105 -- the name of a log line


class SecretWatch:
    """Sees that a file changed. Values are read whenever they are used: only what failed before has to be told."""

    def __init__(self, worlds: Worlds, ground: Ground, reloader: Reloader, listener: ServerTls | None = None) -> None:
        self._worlds = worlds
        self._ground = ground
        self._reloader = reloader
        self._listener = listener
        self._seen: dict[Path, _Signature] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._ground.clock.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Compare all files with how they were; the first time a file is seen is no change."""
        settings = self._worlds.settings()
        secrets, certificates = secret_files(settings), certificate_files(settings)
        of_receivers = receiver_certificates(settings)
        own = frozenset() if self._listener is None else self._listener.files
        changed = await anyio.to_thread.run_sync(self._changed, {*secrets, *certificates, *of_receivers, *own})
        if self._listener is not None and changed & own:
            self._renew(self._listener)
        if changed & (certificates.keys() | of_receivers):
            # A certificate without its key cannot be used: then the key changes too, and this is done again.
            self._reloader.renew()
        names = {name for path in changed for name in (*secrets.get(path, ()), *certificates.get(path, ()))}
        for name in sorted(names):
            self._worlds.credentials_changed(name)
            _log.info(SecretEvent.SECRET_CHANGED, registry=name)
        for replica in settings.replicas:
            if names & {replica.name, replica.source}:
                await self._worlds.try_again(replica.name)

    def _renew(self, listener: ServerTls) -> None:
        try:
            listener.renew()
        except SettingsError as error:
            _log.error(ReloadEvent.CERTIFICATES_REFUSED, error=str(error))
        else:
            _log.info(ReloadEvent.CERTIFICATES_RENEWED)

    def _changed(self, paths: Iterable[Path]) -> set[Path]:
        changed = set()
        for path in paths:
            signature = _signature(path)
            if signature is None:
                continue  # about to be replaced
            if self._seen.setdefault(path, signature) != signature:
                changed.add(path)
                self._seen[path] = signature
        return changed


def secret_files(settings: Settings) -> Mapping[Path, tuple[str, ...]]:
    """Return the files of credentials, and the names of the registries that use each."""
    return _by_path(
        (one.name, (*_of_credentials(one.credentials), *_of_proxy(one.proxy))) for one in configured(settings)
    )


def certificate_files(settings: Settings) -> Mapping[Path, tuple[str, ...]]:
    """Return the files of certificates and their keys, and the names of the registries that use each."""
    return _by_path((one.name, (*_of_tls(one.tls), *_trust_of(one.proxy))) for one in configured(settings))


def receiver_certificates(settings: Settings) -> frozenset[Path]:
    """Return the files of certificates that receivers of notifications are known by, or we to them."""
    return frozenset(path for one in settings.notify for path in (*_of_tls(one.tls), *_trust_of(one.proxy)))


def _of_credentials(credentials: Credentials | None) -> tuple[Path, ...]:
    if credentials is None:
        return ()
    sections = (credentials, *(value for _, value in credentials if isinstance(value, Section)))
    values = [value for section in sections for _, value in section]
    paths = (value.path if isinstance(value, Secret) else value for value in values)
    return tuple(path for path in paths if isinstance(path, Path))


def _of_proxy(proxy: ProxySettings | None) -> tuple[Path, ...]:
    file = None if proxy is None or proxy.password is None else proxy.password.path
    return () if file is None else (file,)


def _trust_of(proxy: ProxySettings | None) -> tuple[Path, ...]:
    return () if proxy is None or proxy.ca_file is None else (proxy.ca_file,)


def _of_tls(tls: Tls | None) -> tuple[Path, ...]:
    return () if tls is None else tuple(value for _, value in tls if isinstance(value, Path))


def _by_path(registries: Iterable[tuple[str, tuple[Path, ...]]]) -> Mapping[Path, tuple[str, ...]]:
    found: dict[Path, tuple[str, ...]] = {}
    for name, paths in registries:
        for path in paths:
            found[path] = (*found.get(path, ()), name)
    return found


def _signature(path: Path) -> _Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
