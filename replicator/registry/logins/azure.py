"""Azure Container Registry: a token of Entra -> the registry's refresh token -> access tokens (A10)."""

import re
from functools import partial
from http import HTTPStatus
from urllib.parse import urlencode

from replicator import strict_json
from replicator.clock import Clock
from replicator.model import Operation
from replicator.registry import token_life
from replicator.registry.answers import Reply, failure, unexpected
from replicator.registry.http import Request
from replicator.registry.logins.entra import entra_token
from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.source import NoProof
from replicator.registry.logins.threads import in_thread
from replicator.registry.origin import Origin, Target
from replicator.registry.transport import Transport
from replicator.settings.clouds import AzureLogin
from replicator.settings.proof import Proof
from replicator.settings.secrets import Secret

_REFRESH_LIFE = 3 * 3600.0
"""Seconds, where the refresh token itself does not say."""
_LONGEST_LIFE = 24 * 3600.0
_BODY = 128 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")


class AzureLogins:
    """Gets refresh tokens of one registry for the configured identity."""

    def __init__(
        self,
        settings: AzureLogin,
        proxies: SdkProxies,
        *,
        registry: str,
        origin: Origin,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._proxies = proxies
        self._registry = registry
        self._origin = origin
        self._transport = transport
        self._clock = clock

    async def fetch(self) -> tuple[Proof, float]:
        """Return a refresh token and its life. Raises NoProof when the identity is refused, else RegistryError."""
        token = await in_thread("Microsoft Entra", partial(entra_token, proxies=self._proxies), self._settings)
        refresh_token = self._exchanged(await self._exchange(token))
        life = min(_LONGEST_LIFE, token_life.told_by(refresh_token) or _REFRESH_LIFE)
        return Proof(identity_token=Secret.of_text(refresh_token)), life

    async def _exchange(self, token: str) -> Reply:
        form = {"grant_type": "access_token", "service": self._origin.host, "access_token": token}
        if self._settings.tenant_id is not None:
            form["tenant"] = self._settings.tenant_id
        request = Request(
            operation=Operation.TOKEN,
            method="POST",
            target=Target(self._origin, "/oauth2/exchange"),
            headers={"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"},
            body=urlencode(form).encode("ascii"),
        )
        answer = await self._transport.send(request)
        try:
            return await answer.reply(_BODY)
        finally:
            answer.close()

    def _exchanged(self, reply: Reply) -> str:
        if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise NoProof(
                f"{reply.target} refused the identity of Microsoft Entra ({reply.status}); "
                "it needs a role at the registry: AcrPull to read, AcrPush to write"
            )
        if reply.status != HTTPStatus.OK:
            raise failure(self._registry, Operation.TOKEN, reply, now=self._clock.now())
        try:
            document = strict_json.loads(reply.body, limit=_BODY)
        except strict_json.Invalid as error:
            raise unexpected(self._registry, Operation.TOKEN, reply, str(error)) from error
        token = document.get("refresh_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise unexpected(self._registry, Operation.TOKEN, reply, "without a refresh token")
        return token
