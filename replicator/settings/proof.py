"""What may be shown to a registry to log in, wherever it came from."""

from dataclasses import dataclass

from replicator.settings.secrets import Secret


@dataclass(frozen=True, slots=True)
class Proof:
    """A user name and password, a token sent as Bearer as it is, or an identity token; none of them: nobody."""

    username: str | None = None
    password: Secret | None = None
    token: Secret | None = None
    identity_token: Secret | None = None

    def __bool__(self) -> bool:
        return self != NOBODY


NOBODY = Proof()
"""Anonymous."""
