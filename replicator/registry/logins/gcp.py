"""Google Artifact Registry: an access token of Google as the password of `oauth2accesstoken` (A11)."""

from functools import partial

from replicator.registry.logins.google_token import google_token
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.threads import in_thread
from replicator.settings.clouds import GcpLogin
from replicator.settings.proof import Proof
from replicator.settings.secrets import Secret

_USER = "oauth2accesstoken"


class GoogleLogins:
    """Gets access tokens for the configured identity."""

    def __init__(self, settings: GcpLogin, proxies: SdkProxies) -> None:
        self._settings = settings
        self._proxies = proxies

    async def fetch(self) -> tuple[Proof, float]:
        """Return user name and password and their life. Raises NoProof."""
        token, life = await in_thread("Google", partial(google_token, proxies=self._proxies), self._settings)
        return Proof(username=_USER, password=Secret.of_text(token)), life
