"""Messages of Amazon SNS: signed by the service, of topics that the configuration names (S16).

Neither the certificate's address nor the one that confirms a subscription is taken from a message: both are made
from the topic, and from a file name or a token that can be nothing else.
"""

import asyncio
import base64
import binascii
import datetime as dt
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from replicator import strict_json
from replicator.clock import Clock
from replicator.intake.fetching import Fetch, FetchFailed
from replicator.intake.gates import Head, Verdict
from replicator.intake.taken_ids import TakenIds

TOLERANCE: Final = 3600.0
"""Seconds that a message may be old: the service tries for so long by default."""
CERTIFICATES: Final = 16
"""Most certificates that are kept."""
AT_ONCE: Final = 4
"""Most certificates that are asked for at a time: a message names one before anything is known of who sent it."""
LONGEST: Final = 512 * 1024
_NOTIFICATION: Final = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SUBSCRIPTION: Final = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_FIELDS: Final = {*_NOTIFICATION, *_SUBSCRIPTION}
_SIGNED: Final = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _SUBSCRIPTION,
    "UnsubscribeConfirmation": _SUBSCRIPTION,
}
_HASHES: Final[Mapping[str, type[hashes.HashAlgorithm]]] = {"1": hashes.SHA1, "2": hashes.SHA256}
_CERTIFICATE: Final = re.compile(
    r"https://(?P<host>[a-z0-9.-]{1,253})(?P<path>/SimpleNotificationService-[0-9a-f]{8,64}\.pem)"
)
_TOKEN: Final = re.compile(r"[0-9A-Za-z]{1,1024}")
_ID: Final = re.compile(r"[0-9A-Za-z-]{1,128}")


@dataclass(frozen=True, slots=True)
class _Certified:
    """A key, and the time (Unix seconds) in which its certificate vouches for it."""

    key: rsa.RSAPublicKey
    since: float
    until: float


class SnsSignature:
    """A gate for messages of `topics` (ARNs). A subscription to one of them that asks for it is confirmed."""

    challenge = None

    def __init__(self, topics: Collection[str], *, fetch: Fetch, clock: Clock) -> None:
        self._topics = frozenset(topics)
        self._fetch = fetch
        self._clock = clock
        self._taken = TakenIds(2 * TOLERANCE, clock)
        self._keys: dict[str, _Certified] = {}
        self._asked: dict[str, asyncio.Future[_Certified]] = {}

    async def admit(self, head: Head) -> Verdict:
        """Ask for a topic of ours and the id of a message."""
        ours = head.one("x-amz-sns-topic-arn") in self._topics
        return Verdict.ADMITTED if ours and _ID.fullmatch(head.one("x-amz-sns-message-id")) else Verdict.REFUSED

    async def prove(self, head: Head, body: bytes) -> Verdict:
        """Check the signature, and confirm a subscription that it covers."""
        message = _message(body)
        topic, identifier = message.get("TopicArn", ""), message.get("MessageId", "")
        if topic not in self._topics or identifier != head.one("x-amz-sns-message-id"):
            return Verdict.REFUSED
        try:
            if not self._is_timely(message) or not await self._is_signed(message, _service(topic)):
                return Verdict.REFUSED
            if identifier in self._taken:
                return Verdict.REPEATED
            if message["Type"] == "SubscriptionConfirmation":
                return await self._confirmed(message, topic)
        except FetchFailed:
            return Verdict.UNKNOWN
        return Verdict.ADMITTED

    def taken(self, head: Head) -> None:
        """Remember the id."""
        self._taken.add(head.one("x-amz-sns-message-id"))

    def _is_timely(self, message: Mapping[str, str]) -> bool:
        try:
            moment = dt.datetime.fromisoformat(message.get("Timestamp", ""))
        except ValueError:
            return False
        return moment.tzinfo is not None and abs(self._clock.now() - moment.timestamp()) <= TOLERANCE

    async def _is_signed(self, message: Mapping[str, str], service: str) -> bool:
        fields, algorithm = _SIGNED.get(message.get("Type", "")), _HASHES.get(message.get("SignatureVersion", ""))
        named = _CERTIFICATE.fullmatch(message.get("SigningCertURL", ""))
        if fields is None or algorithm is None or named is None or named["host"] != service:
            return False
        try:
            signature = base64.b64decode(message.get("Signature", ""), validate=True)
        except (binascii.Error, ValueError):
            return False
        key = await self._key(f"https://{service}{named['path']}")
        signed = "".join(f"{name}\n{message[name]}\n" for name in fields if name in message)
        try:
            key.verify(signature, signed.encode(), padding.PKCS1v15(), algorithm())
        except InvalidSignature:
            return False
        return True

    async def _key(self, url: str) -> rsa.RSAPublicKey:
        """Return the key of the certificate at `url`. Raises FetchFailed when it cannot be had, or has run out."""
        kept = self._keys.get(url)
        found = await self._asked_once(url) if kept is None else kept
        if not found.since <= self._clock.now() <= found.until:
            self._keys.pop(url, None)
            raise FetchFailed(f"{url}: a certificate of another time")
        if kept is None:
            if len(self._keys) >= CERTIFICATES:
                self._keys.clear()
            self._keys[url] = found
        return found.key

    async def _asked_once(self, url: str) -> _Certified:
        """Ask for a certificate, or wait for who asks already. Raises FetchFailed, at once where too many are."""
        asked = self._asked.get(url)
        if asked is None:
            if len(self._asked) >= AT_ONCE:
                raise FetchFailed(f"{url}: too many certificates are asked for")
            asked = self._asked[url] = asyncio.ensure_future(self._certified(url))
            asked.add_done_callback(lambda done: self._answered(url, done))
        return await asyncio.shield(asked)

    def _answered(self, url: str, done: asyncio.Future[_Certified]) -> None:
        del self._asked[url]
        if not done.cancelled():
            done.exception()  # taken note of, though whoever asked may have left

    async def _certified(self, url: str) -> _Certified:
        try:
            certificate = x509.load_pem_x509_certificate(await self._fetch(url))
        except ValueError as error:
            raise FetchFailed(f"{url}: no certificate") from error
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise FetchFailed(f"{url}: a key of another kind")
        since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return _Certified(key, since.timestamp(), until.timestamp())

    async def _confirmed(self, message: Mapping[str, str], topic: str) -> Verdict:
        token = message.get("Token", "")
        if not _TOKEN.fullmatch(token):
            return Verdict.REFUSED
        question = f"Action=ConfirmSubscription&TopicArn={quote(topic, safe='')}&Token={token}"
        await self._fetch(f"https://{_service(topic)}/?{question}")
        return Verdict.ADMITTED


def _message(body: bytes) -> dict[str, str]:
    """Return the text fields of a message, none if it is none."""
    try:
        document: Any = strict_json.loads(body, limit=LONGEST)
    except strict_json.Invalid:
        return {}
    if not isinstance(document, dict) or not all(isinstance(document.get(name, ""), str) for name in _FIELDS):
        return {}
    return {name: value for name, value in document.items() if isinstance(value, str)}


def _service(topic: str) -> str:
    """Return the host of the service that a topic is of: `arn:PARTITION:sns:REGION:ACCOUNT:NAME`."""
    _, partition, _, region, *_ = topic.split(":")
    return f"sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"
