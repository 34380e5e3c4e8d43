"""What every kind of login offers, and the plainest one: what the settings say."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from replicator.errors import Reason, ReplicatorError
from replicator.settings.credentials import Credentials
from replicator.settings.proof import NOBODY, Proof


class NoProof(ReplicatorError):
    """There are credentials and they cannot be had now: never a reason to go on as nobody. Holds no secret."""

    reason = Reason.AUTH

    def __init__(self, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.temporary = temporary


Fetch = Callable[[], Awaitable[tuple[Proof, float]]]
"""Gets a proof anew, and the seconds that it lives. Raises NoProof or RegistryError."""


Create = Callable[[str], Awaitable[None]]
"""Makes a repository; that it is there already is as good. Raises NoProof."""

Images = Callable[[str], Awaitable[Sequence[object]]]
"""Asks for the identifiers of all tagged images of a repository, unchecked. Raises NoProof."""


class Source(Protocol):
    """Where the proof for one registry comes from."""

    async def proof(self, repository: str) -> Proof:
        """Return what to show for a repository ("" for none in particular). Raises NoProof, RegistryError."""
        ...

    def absence(self, repository: str) -> str:
        """Say where a login was looked for in vain, after a proof that is nobody; "" where nothing was looked at."""
        ...

    def refused(self) -> None:
        """Take note that the registry did not take what it was shown: it may have ended early."""
        ...

    def forget(self) -> None:
        """Forget all that was kept: the credentials are others now."""
        ...


class FixedSource:
    """The credentials in the settings; their values are read anew whenever they are used."""

    def __init__(self, credentials: Credentials | Proof | None) -> None:
        self._proof = NOBODY
        if credentials is not None:
            self._proof = Proof(
                credentials.username, credentials.password, credentials.token, credentials.identity_token
            )

    async def proof(self, repository: str) -> Proof:  # noqa: ARG002 -- part of the protocol
        """Return always the same."""
        return self._proof

    def absence(self, repository: str) -> str:  # noqa: ARG002 -- part of the protocol
        """Say nothing: there is no place to look at."""
        return ""

    def refused(self) -> None:
        """Keep nothing, so there is nothing to forget."""

    def forget(self) -> None:
        """Keep nothing, so there is nothing to forget."""
