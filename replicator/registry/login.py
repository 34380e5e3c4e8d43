"""The credentials of one registry, read anew each time they are used, and the headers made of them."""

import base64
import re
from dataclasses import dataclass

from replicator.errors import AccessDenied, Reason, SettingsError
from replicator.registry.logins.source import NoProof, Source
from replicator.registry.scope import Scope
from replicator.settings.proof import NOBODY, Proof
from replicator.settings.secrets import Secret

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to `registry`; without a proof, as nobody. `absence` is where one was looked for in vain."""

    registry: str
    proof: Proof = NOBODY
    absence: str = ""

    @property
    def identity(self) -> str:
        """Who we are, for cache keys and messages; holds no secret."""
        return (self.proof.username or "the holder of the token") if self.proof else "nobody"

    @property
    def remark(self) -> str:
        """What to put behind a message about nobody: where a login was looked for, "" for nowhere."""
        return f": {self.absence}" if self.absence else ""

    def basic(self) -> str | None:
        """Return the value of a Basic Authorization, None without user name and password. Raises AccessDenied."""
        pair = self.password_pair()
        if pair is None:
            return None
        return "Basic " + base64.b64encode(f"{pair[0]}:{pair[1]}".encode()).decode("ascii")

    def password_pair(self) -> tuple[str, str] | None:
        """Return user name and password, None when there are none. Raises AccessDenied when they cannot be read."""
        if self.proof.username is None or self.proof.password is None:
            return None
        return self.proof.username, self._revealed(self.proof.password)

    def identity_token(self) -> str | None:
        """Return the token for the refresh grant, None when there is none. Raises AccessDenied."""
        return None if self.proof.identity_token is None else self._revealed(self.proof.identity_token)

    def bearer(self) -> str | None:
        """Return the value of a Bearer Authorization made of a ready token, None without one. Raises AccessDenied."""
        return None if self.proof.token is None else self.bearer_of(self._revealed(self.proof.token))

    def bearer_of(self, token: str) -> str:
        """Return the value of a Bearer Authorization. Raises AccessDenied when the token cannot stand in a header."""
        if not _PRINTABLE.fullmatch(token):
            raise self.denied("the token has characters that no header can hold")
        return f"Bearer {token}"

    def denied(self, problem: str, *, temporary: bool = False) -> AccessDenied:
        """Return the error for credentials that do not do."""
        return denied(self.registry, problem, temporary=temporary)

    def _revealed(self, secret: Secret) -> str:
        try:
            return secret.reveal()
        except SettingsError as error:
            raise self.denied(f"the credentials cannot be read: {error}", temporary=error.temporary) from error


class Logins:
    """The login of one registry as its source has it at the moment; it may differ by repository."""

    def __init__(self, registry: str, source: Source) -> None:
        self._registry = registry
        self._source = source

    async def login(self, scopes: tuple[Scope, ...]) -> Login:
        """Return how to log in for a request that needs `scopes`. Raises AccessDenied, RegistryError."""
        repository = next((scope.name for scope in scopes if scope.kind == "repository"), "")
        try:
            proof = await self._source.proof(repository)
            return Login(self._registry, proof, "" if proof else self._source.absence(repository))
        except NoProof as error:
            raise denied(self._registry, f"no login: {error}", temporary=error.temporary) from error

    def refused(self) -> None:
        """Take note that the registry, or its token server, did not take the login."""
        self._source.refused()

    def forget(self) -> None:
        """Get the login anew."""
        self._source.forget()


def denied(registry: str, problem: str, *, temporary: bool = False) -> AccessDenied:
    """Return the error for credentials that do not do."""
    return AccessDenied(f"{registry}: {problem}", registry=registry, reason=Reason.AUTH, temporary=temporary)
