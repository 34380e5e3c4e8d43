"""The `.creds` file that NATS gives a user: a token of who it is, and the seed of the key that proves it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from replicator.errors import Reason, SettingsError

LONGEST = 64 * 1024
"""Bytes; such files have about one thousand."""
_TOKEN = re.compile(r"BEGIN NATS USER JWT-{1,10}\s{1,4}([A-Za-z0-9_.-]{1,32768})\s")
_SEED = re.compile(r"BEGIN USER NKEY SEED-{1,10}\s{1,4}(SU[A-Z2-7]{54,60})\s")


@dataclass(frozen=True, slots=True)
class NatsCreds:
    """What such a file holds; neither part is ever shown."""

    token: str = field(repr=False)
    seed: str = field(repr=False)


def read_creds(path: Path) -> NatsCreds:
    """Return what the file holds now. Raises SettingsError, worth another try: it may be about to be replaced."""
    try:
        with path.open("rb") as file:
            text = file.read(LONGEST).decode("ascii", "replace")
    except OSError as error:
        raise _unusable(f"the file {path} cannot be read ({error.strerror})") from error
    token, seed = _TOKEN.search(text), _SEED.search(text)
    if token is None or seed is None:
        raise _unusable(f"the file {path} does not hold the token and the seed of a user of NATS")
    return NatsCreds(token[1], seed[1])


def _unusable(message: str) -> SettingsError:
    error = SettingsError(message)
    error.reason = Reason.AUTH
    error.temporary = True
    return error
