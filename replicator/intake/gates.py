"""What a gate of an endpoint is asked: by the head of a delivery, and again with its whole body (S16)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, Protocol, TypeVar

from multidict import MultiMapping
from yarl import URL

from replicator.clock import Clock
from replicator.errors import SettingsError
from replicator.settings.secrets import Secret

T = TypeVar("T")

REREAD_SECONDS: Final = 1.0
"""How long the values of secrets are kept: a rotated file counts after this time at the latest."""


class Verdict(Enum):
    """Whether a delivery may be read."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """No secret or key could be had, so that nobody can be told from anybody."""
    REPEATED = "repeated"
    """It is authentic, and was taken before."""


@dataclass(frozen=True, slots=True)
class Head:
    """What comes before the body."""

    headers: MultiMapping[str]
    url: URL

    def header(self, name: str) -> tuple[str, ...]:
        """Return all values of a header that were sent."""
        return tuple(self.headers.getall(name, ()))

    def one(self, name: str) -> str:
        """Return the value of a header that was sent exactly once, else ""."""
        values = self.header(name)
        return values[0] if len(values) == 1 else ""


class Gate(Protocol):
    """Tells authentic deliveries of one endpoint from others."""

    @property
    def challenge(self) -> str | None:
        """The WWW-Authenticate header of a refusal; always the same."""
        ...

    async def admit(self, head: Head) -> Verdict:
        """Judge by the head, before the body is read; ADMITTED too where only the body can tell."""
        ...

    async def prove(self, head: Head, body: bytes) -> Verdict:
        """Judge by head and raw body what `admit` admitted."""
        ...

    def taken(self, head: Head) -> None:
        """Hear that an admitted delivery is safe on disk."""
        ...


class CurrentSecrets(Generic[T]):
    """The secrets that are valid now, each `made` into what is compared with."""

    def __init__(self, secrets: Sequence[Secret], made: Callable[[str], T], *, clock: Clock) -> None:
        self._secrets = tuple(secrets)
        self._made = made
        self._clock = clock
        self._values: tuple[T, ...] = ()
        self._read_at: float | None = None

    def values(self) -> tuple[T, ...]:
        """Return one value for each secret that can be read and is not empty."""
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at >= REREAD_SECONDS:
            self._values = tuple(self._made(text) for text in map(_text, self._secrets) if text)
            self._read_at = now
        return self._values


def _text(secret: Secret) -> str:
    # An empty secret would admit everybody who sends an empty value.
    try:
        return secret.reveal()
    except SettingsError:
        return ""
