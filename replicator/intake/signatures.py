"""Signatures over the raw body with a shared key: plain HMAC in a header, and Standard Webhooks 1.0.0 (S16)."""

import base64
import binascii
import hashlib
import hmac
import math
import re
from collections.abc import Sequence
from typing import Final

from replicator.clock import Clock
from replicator.intake.gates import CurrentSecrets, Head, Verdict
from replicator.intake.taken_ids import TakenIds
from replicator.settings.secrets import Secret, standard_webhooks_key

_HEX_PAIRS: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){1,64}")
_ID: Final = re.compile(r"[!-\-/-~]{1,256}")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_MOST_SIGNATURES: Final = 16


class BodySignature:
    """A gate for whoever signs the body: `header` holds its HMAC in hex, bare or after the algorithm's name and `=`.

    GitHub writes `sha256=HEX`, Gitea, JFrog and Nexus the bare digits.
    """

    challenge = None

    def __init__(self, algorithm: str, header: str, secrets: Sequence[Secret], *, clock: Clock) -> None:
        self._algorithm = algorithm
        self._header = header
        self._keys = CurrentSecrets(secrets, str.encode, clock=clock)

    async def admit(self, head: Head) -> Verdict:
        """Ask for something that may be a signature."""
        if not self._keys.values():
            return Verdict.UNKNOWN
        return Verdict.ADMITTED if self._presented(head) else Verdict.REFUSED

    async def prove(self, head: Head, body: bytes) -> Verdict:
        """Compare the signature with that of every valid key."""
        presented = self._presented(head)
        matches = [
            hmac.compare_digest(presented, hmac.digest(key, body, self._algorithm)) for key in self._keys.values()
        ]
        return Verdict.ADMITTED if any(matches) else Verdict.REFUSED

    def taken(self, head: Head) -> None:
        """Keep nothing: no time or id is signed."""

    def _presented(self, head: Head) -> bytes:
        value = head.one(self._header).strip(" ")
        name, equals, digits = value.partition("=")
        if not equals:
            digits = value
        elif name.lower() != self._algorithm:
            return b""
        return bytes.fromhex(digits) if _HEX_PAIRS.fullmatch(digits) else b""


class StandardWebhooks:
    """A gate by the Standard Webhooks rules: id, time and body are signed, and no delivery counts twice.

    The time must be within `tolerance` seconds of ours; ids are remembered for as long as a repetition would pass.
    """

    challenge = None

    def __init__(self, secrets: Sequence[Secret], *, tolerance: float, clock: Clock) -> None:
        self._keys = CurrentSecrets(secrets, standard_webhooks_key, clock=clock)
        self._tolerance = tolerance
        self._clock = clock
        # Its time may lie ahead by the tolerance when it comes first, and behind by as much when it comes again.
        self._taken = TakenIds(2 * tolerance + 1, clock)

    async def admit(self, head: Head) -> Verdict:
        """Ask for an id, a time of about now, and something that may be a signature."""
        if not any(self._keys.values()):
            return Verdict.UNKNOWN
        return Verdict.ADMITTED if self._is_timely(head) and _signatures(head) else Verdict.REFUSED

    async def prove(self, head: Head, body: bytes) -> Verdict:
        """Compare each signature that was sent with that of every valid key."""
        signed = f"{head.one('webhook-id')}.{head.one('webhook-timestamp')}.".encode() + body
        expected = [hmac.digest(key, signed, "sha256") for key in self._keys.values() if key]
        matches = [hmac.compare_digest(each, own) for each in _signatures(head) for own in expected]
        if not any(matches):
            return Verdict.REFUSED
        return Verdict.REPEATED if head.one("webhook-id") in self._taken else Verdict.ADMITTED

    def taken(self, head: Head) -> None:
        """Remember the id: only now, so that what could not be kept may come again."""
        self._taken.add(head.one("webhook-id"))

    def _is_timely(self, head: Head) -> bool:
        identifier, seconds = head.one("webhook-id"), head.one("webhook-timestamp")
        if not _ID.fullmatch(identifier) or not _SECONDS.fullmatch(seconds):
            return False
        return math.fabs(self._clock.now() - int(seconds)) <= self._tolerance


def _signatures(head: Head) -> list[bytes]:
    found = []
    for each in head.one("webhook-signature").split(" ")[:_MOST_SIGNATURES]:
        version, _, encoded = each.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(encoded, validate=True))
            except (binascii.Error, ValueError):
                continue
    return [each for each in found if len(each) == hashlib.sha256().digest_size]
