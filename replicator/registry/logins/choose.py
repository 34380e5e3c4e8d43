"""Which source a registry's credentials come from."""

from replicator.clock import Clock
from replicator.registry.logins.docker_config import DockerConfigSource
from replicator.registry.logins.source import FixedSource, Source
from replicator.registry.origin import Origin
from replicator.settings.registries import RegistrySettings


def source_of(settings: RegistrySettings, origin: Origin, clock: Clock) -> Source:
    """Return where the credentials for the registry at `origin` come from; nothing is asked yet."""
    credentials = settings.credentials
    if credentials is not None and credentials.docker_config is not None:
        return DockerConfigSource(credentials.docker_config, origin, clock)
    return FixedSource(credentials)
