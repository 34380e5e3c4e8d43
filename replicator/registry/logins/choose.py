"""Which source a registry's credentials come from."""

from replicator.clock import Clock
from replicator.proxies import Proxies
from replicator.registry.logins.aws import EcrImages, EcrLogins
from replicator.registry.logins.azure import AzureLogins
from replicator.registry.logins.docker_config import DockerConfigSource
from replicator.registry.logins.gcp import GoogleLogins
from replicator.registry.logins.kept import Kept
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.source import Create, FixedSource, Images, Source
from replicator.registry.origin import Origin
from replicator.registry.transport import Transport
from replicator.settings.ecr_host import ECR_PUBLIC
from replicator.settings.registries import PrimarySettings, ReplicaSettings


def source_of(
    settings: PrimarySettings | ReplicaSettings, proxies: Proxies, origin: Origin, transport: Transport, clock: Clock
) -> Source:
    """Return where the credentials for the registry at `origin` come from; nothing is asked yet."""
    credentials, ways = settings.credentials, SdkProxies(proxies)
    if credentials is None:
        return FixedSource(None)
    if credentials.docker_config is not None:
        return DockerConfigSource(credentials.docker_config, origin, clock)
    if credentials.azure is not None:
        azure = AzureLogins(
            credentials.azure, ways, registry=settings.name, origin=origin, transport=transport, clock=clock
        )
        return Kept(azure.fetch, clock)
    if credentials.aws is not None:
        return Kept(EcrLogins(credentials.aws, ways, origin).fetch, clock)
    if credentials.gcp is not None:
        return Kept(GoogleLogins(credentials.gcp, ways).fetch, clock)
    return FixedSource(credentials)


def creator_of(settings: PrimarySettings | ReplicaSettings, proxies: Proxies, origin: Origin) -> Create | None:
    """Return what makes a repository that is missing at the registry, None where nothing shall."""
    aws = None if settings.credentials is None else settings.credentials.aws
    if aws is None or aws.create_repositories is None:
        return None
    return EcrLogins(aws, SdkProxies(proxies), origin).create


def images_of(
    settings: PrimarySettings | ReplicaSettings, proxies: Proxies, origin: Origin, clock: Clock
) -> Images | None:
    """Return what asks AWS for the images of a repository, None where the login is not that of a private ECR."""
    aws = None if settings.credentials is None else settings.credentials.aws
    if aws is None or origin.host == ECR_PUBLIC:
        return None
    return EcrImages(aws, SdkProxies(proxies), origin, clock).images
