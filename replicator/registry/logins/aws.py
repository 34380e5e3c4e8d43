"""Amazon ECR: the identity of AWS -> a password of 12 hours, sent as Basic (A11); repositories and images."""

from functools import partial
from typing import Any

import anyio

from replicator.clock import Clock
from replicator.registry.logins.ecr_api import PUBLIC_REGION, EcrApi
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.source import NoProof
from replicator.registry.logins.threads import in_thread
from replicator.registry.origin import Origin
from replicator.settings.clouds import AwsLogin
from replicator.settings.ecr_host import ECR_PUBLIC, ecr_place
from replicator.settings.proof import Proof
from replicator.settings.secrets import Secret

_KEPT_FOR = 900.0
"""Seconds for which a client of the SDK lists images: a role's keys live an hour."""


class EcrLogins:
    """Gets passwords of one registry, and makes repositories in it."""

    def __init__(self, settings: AwsLogin, proxies: SdkProxies, origin: Origin) -> None:
        self._api = _api(settings, proxies, origin)

    async def fetch(self) -> tuple[Proof, float]:
        """Return user name and password and their life. Raises NoProof."""
        password, life = await in_thread("AWS", EcrApi.password, self._api)
        return Proof(username="AWS", password=Secret.of_text(password)), life

    async def create(self, repository: str) -> None:
        """Make a repository as the settings say. Raises NoProof when AWS refuses."""
        await in_thread("AWS", self._api.create, repository)


class EcrImages:
    """Lists images of one registry."""

    def __init__(self, settings: AwsLogin, proxies: SdkProxies, origin: Origin, clock: Clock) -> None:
        self._api = _api(settings, proxies, origin)
        self._clock = clock
        self._client: Any = None
        self._until = 0.0
        self._opening = anyio.Lock()

    async def images(self, repository: str) -> list[object]:
        """Return the identifiers of all tagged images, as AWS tells them. Raises NoProof."""
        client = await self._opened()
        try:
            return await in_thread("AWS", partial(self._api.images, client=client), repository)
        except NoProof:
            # Its keys may have been rotated.
            self._until = 0.0
            raise

    async def _opened(self) -> Any:
        async with self._opening:
            if self._clock.monotonic() >= self._until:
                self._client = await in_thread("AWS", EcrApi.opened, self._api)
                self._until = self._clock.monotonic() + _KEPT_FOR
            return self._client


def _api(settings: AwsLogin, proxies: SdkProxies, origin: Origin) -> EcrApi:
    if origin.host == ECR_PUBLIC:
        return EcrApi(settings, proxies, PUBLIC_REGION, public=True)
    place = ecr_place(origin.host)
    region = settings.region or ("" if place is None else place.region)
    return EcrApi(settings, proxies, region, "" if place is None else place.account)
