"""The credentials of one registry, read anew each time they are used, and the headers made of them."""

import base64
import re
from dataclasses import dataclass

from replicator.errors import AccessDenied, Reason, SettingsError
from replicator.settings.credentials import Credentials
from replicator.settings.secrets import Secret

_PRINTABLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in to `registry`; without credentials, as nobody."""

    registry: str
    credentials: Credentials | None = None

    @property
    def identity(self) -> str:
        """Who we are, for cache keys and messages; holds no secret."""
        if self.credentials is None:
            return "nobody"
        return self.credentials.username or "the holder of the token"

    def basic(self) -> str | None:
        """Return the value of a Basic Authorization, None without user name and password. Raises AccessDenied."""
        pair = self.password_pair()
        if pair is None:
            return None
        return "Basic " + base64.b64encode(f"{pair[0]}:{pair[1]}".encode()).decode("ascii")

    def password_pair(self) -> tuple[str, str] | None:
        """Return user name and password, None when there are none. Raises AccessDenied when they cannot be read."""
        found = self.credentials
        if found is None or found.username is None or found.password is None:
            return None
        return found.username, self._revealed(found.password)

    def identity_token(self) -> str | None:
        """Return the token for the refresh grant, None when there is none. Raises AccessDenied."""
        found = self.credentials
        return None if found is None or found.identity_token is None else self._revealed(found.identity_token)

    def bearer(self) -> str | None:
        """Return the value of a Bearer Authorization made of a ready token, None without one. Raises AccessDenied."""
        found = self.credentials
        return None if found is None or found.token is None else self.bearer_of(self._revealed(found.token))

    def bearer_of(self, token: str) -> str:
        """Return the value of a Bearer Authorization. Raises AccessDenied when the token cannot stand in a header."""
        if not _PRINTABLE.fullmatch(token):
            raise self.denied("the token has characters that no header can hold")
        return f"Bearer {token}"

    def denied(self, problem: str, *, temporary: bool = False) -> AccessDenied:
        """Return the error for credentials that do not do."""
        return AccessDenied(
            f"{self.registry}: {problem}", registry=self.registry, reason=Reason.AUTH, temporary=temporary
        )

    def _revealed(self, secret: Secret) -> str:
        try:
            return secret.reveal()
        except SettingsError as error:
            raise self.denied(f"the credentials cannot be read: {error}", temporary=error.temporary) from error
