"""From a configuration file that changed to another world: all of it, or nothing and the old one goes on."""

import sys
from collections.abc import Callable
from enum import StrEnum

import anyio.to_thread
import structlog

from replicator.admin.wording import counted
from replicator.errors import SettingsError, StoreError
from replicator.observability.logs import configure_logs
from replicator.service import Service
from replicator.settings.schema import Settings
from replicator.world import Ground, build_world
from replicator.worlds import Worlds

_log = structlog.get_logger(__name__)


class ReloadEvent(StrEnum):
    """Names of the log lines about the configuration; each is explained in docs/logs.md."""

    CONFIG_RELOADED = "config_reloaded"
    CONFIG_REFUSED = "config_refused"
    CONFIG_NEEDS_RESTART = "config_needs_restart"
    CERTIFICATES_RENEWED = "certificates_renewed"
    CERTIFICATES_REFUSED = "certificates_refused"
    REPLICA_NOT_CONFIGURED = "replica_not_configured"


class Reloader:
    """Exchanges the world in use. `load` reads the file, in a thread, and raises SettingsError."""

    def __init__(self, worlds: Worlds, ground: Ground, service: Service, load: Callable[[], Settings]) -> None:
        self._worlds = worlds
        self._ground = ground
        self._service = service
        self._load = load

    async def reload(self) -> None:
        """Use what the file says now; where it cannot be used, all stays as it is and the log has every mistake."""
        self._service.reloading()
        metrics = self._worlds.used.metrics
        try:
            written = await anyio.to_thread.run_sync(self._load)
            before = self._worlds.settings()
            settings, pinned = pin(written, before)
            world = build_world(settings, self._ground, self._worlds.used)
        except SettingsError as error:
            mistakes = str(error).splitlines()
            _log.error(ReloadEvent.CONFIG_REFUSED, mistakes=mistakes)
            metrics.config_loaded(valid=False)
            told = counted(len(mistakes), "mistake")
            self._service.reloaded(f"the new configuration has {told} (see the log), the old one is used")
            return
        self._worlds.use(world)
        configure_logs(settings.log, sys.stderr, clock=self._ground.clock)
        metrics.config_loaded(valid=True)
        _log.info(ReloadEvent.CONFIG_RELOADED, **differences(before, settings))
        if pinned:
            _log.warning(ReloadEvent.CONFIG_NEEDS_RESTART, keys=pinned)
        self._service.reloaded(f"a restart is needed for {', '.join(pinned)}" if pinned else "")
        await self.tell_of_strangers()

    def renew(self) -> None:
        """Use the same settings with the certificates that their files hold now, if those can be used."""
        used = self._worlds.used
        try:
            world = build_world(used.settings, self._ground, used)
        except SettingsError as error:
            _log.error(ReloadEvent.CERTIFICATES_REFUSED, error=str(error))
            return
        self._worlds.use(world)
        _log.info(ReloadEvent.CERTIFICATES_RENEWED)

    async def tell_of_strangers(self) -> None:
        """Log what replicas are still owed that the settings do not name: it is kept, and is nobody's lag."""
        try:
            summary = await self._ground.store.summary()
        except StoreError:
            return  # whoever reads the store for the metrics says so
        for name, found in summary.replicas.items():
            if found.owed and self._worlds.settings().replica(name) is None:
                _log.warning(ReloadEvent.REPLICA_NOT_CONFIGURED, replica=name, owed=found.owed, parked=found.parked)


def pin(written: Settings, running: Settings) -> tuple[Settings, list[str]]:
    """Return the settings as far as a running daemon can take them over, and the keys that wait for a restart."""
    update: dict[str, object] = {}
    keys, webhooks = [], written.webhooks
    if written.webhooks.listen != running.webhooks.listen:
        keys.append("webhooks.listen")
        webhooks = webhooks.model_copy(update={"listen": running.webhooks.listen})
    if written.webhooks.tls != running.webhooks.tls:
        keys.append("webhooks.tls")
        webhooks = webhooks.model_copy(update={"tls": running.webhooks.tls})
    if written.admin.listen != running.admin.listen:
        keys.append("admin.listen")
        update["admin"] = written.admin.model_copy(update={"listen": running.admin.listen})
    if written.store != running.store:
        keys.append("store.url")
        update["store"] = running.store
    return written.model_copy(update={**update, "webhooks": webhooks}), keys


def differences(before: Settings, after: Settings) -> dict[str, list[str]]:
    """Return which top-level keys differ, and the names of replicas that came and went."""
    old, new = ({replica.name for replica in settings.replicas} for settings in (before, after))
    return {
        "changed": [key for key in Settings.model_fields if getattr(before, key) != getattr(after, key)],
        "added": sorted(new - old),
        "removed": sorted(old - new),
    }
