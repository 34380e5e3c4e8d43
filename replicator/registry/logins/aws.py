"""Amazon ECR: the identity of AWS -> a password of 12 hours, sent as Basic (A11); repositories made when missing."""

from replicator.registry.logins.ecr_api import PUBLIC_REGION, EcrApi
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.threads import in_thread
from replicator.registry.origin import Origin
from replicator.settings.clouds import AwsLogin
from replicator.settings.ecr_host import ECR_PUBLIC, ecr_place
from replicator.settings.proof import Proof
from replicator.settings.secrets import Secret


class EcrLogins:
    """Gets passwords of one registry, and makes repositories in it."""

    def __init__(self, settings: AwsLogin, proxies: SdkProxies, origin: Origin) -> None:
        if origin.host == ECR_PUBLIC:
            self._api = EcrApi(settings, proxies, PUBLIC_REGION, public=True)
            return
        place = ecr_place(origin.host)
        region = settings.region or ("" if place is None else place.region)
        self._api = EcrApi(settings, proxies, region, "" if place is None else place.account)

    async def fetch(self) -> tuple[Proof, float]:
        """Return user name and password and their life. Raises NoProof."""
        password, life = await in_thread("AWS", EcrApi.password, self._api)
        return Proof(username="AWS", password=Secret.of_text(password)), life

    async def create(self, repository: str) -> None:
        """Make a repository as the settings say. Raises NoProof when AWS refuses."""
        await in_thread("AWS", self._api.create, repository)

    async def images(self, repository: str) -> list[object]:
        """Return the identifiers of all tagged images, as AWS tells them. Raises NoProof."""
        return await in_thread("AWS", self._api.images, repository)
