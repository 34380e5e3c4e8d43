"""Secrets that never show: the value is read when it is needed and printed nowhere."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from replicator.errors import Reason, SettingsError

_LONGEST = 64 * 1024
"""No credential is longer; a file that is, is something else."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret in a file, in the environment, or in memory. Only its origin can be seen.

    The value is read anew on each `reveal`, so that a rotated file counts at once. Two secrets are equal when they
    come from the same place.
    """

    path: Path | None = None
    variable: str | None = None
    _text: str | None = None
    _environ: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of_file(cls, path: Path) -> "Secret":
        """Return the secret that the file holds."""
        return cls(path=path)

    @classmethod
    def of_environment(cls, variable: str, environ: Mapping[str, str]) -> "Secret":
        """Return the secret that `environ` holds under the name `variable`."""
        return cls(variable=variable, _environ=environ)

    @classmethod
    def of_text(cls, value: str) -> "Secret":
        """Return a secret with this value, which somebody was told."""
        return cls(_text=value)

    @property
    def origin(self) -> str:
        """Where the secret comes from: the file's path or the variable's name, never the value."""
        if self.path is not None:
            return str(self.path)
        return self.variable if self.variable is not None else "text"

    def reveal(self) -> str:
        """Return the value without one trailing newline. Raises SettingsError when it cannot be read or is empty."""
        if self._text is not None:
            value = self._text
        elif self.path is not None:
            value = self._of_file(self.path)
        else:
            value = self._of_environment(self.variable or "")
        return _without_newline(value)

    def __repr__(self) -> str:
        return f"Secret(***, {self.origin})"

    __str__ = __repr__

    def _of_file(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                raw = file.read(_LONGEST + 1)
        except OSError as error:
            raise _unusable(f"the file {path} cannot be read ({error.strerror})") from error
        if len(raw) > _LONGEST:
            raise _unusable(f"the file {path} is longer than any secret ({_LONGEST // 1024} KiB)")
        try:
            value = raw.decode()
        except UnicodeDecodeError:
            # The cause is dropped on purpose: it carries the bytes.
            raise _unusable(f"the file {path} does not hold UTF-8 text") from None
        if not _without_newline(value):
            raise _unusable(f"the file {path} is empty")
        return value

    def _of_environment(self, variable: str) -> str:
        value = self._environ.get(variable)
        if value is None:
            raise _unusable(f"the environment variable {variable} is not set")
        if not _without_newline(value):
            raise _unusable(f"the environment variable {variable} is empty")
        return value


def standard_webhooks_key(secret: str) -> bytes:
    """Return the key in `whsec_BASE64` (the prefix may be missing); b"" when it is none."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _without_newline(value: str) -> str:
    return value.removesuffix("\n").removesuffix("\r") if value.endswith("\n") else value


def _unusable(message: str) -> SettingsError:
    """Return an error that is worth another try: the file may be about to be replaced."""
    error = SettingsError(message)
    error.reason = Reason.AUTH
    error.temporary = True
    return error
