"""Messages of Amazon SNS: genuine ones of our topics pass, once; nothing that a message names is asked (S16)."""

import asyncio
import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from replicator.intake.fetching import FetchFailed
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import Gate, Head, Verdict
from replicator.intake.sns_signature import AT_ONCE, TOLERANCE
from replicator.settings.credentials import EndpointAuth, SnsAuth
from tests.support.fake_clock import FakeClock

TOPIC = "arn:aws:sns:eu-west-1:123456789012:ecr-events"
SERVICE = "https://sns.eu-west-1.amazonaws.com"
CERTIFICATE = f"{SERVICE}/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"
KEY = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
FIELDS = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def certificate(clock: FakeClock, key: Any = KEY, *, days: float = 30) -> bytes:
    now = dt.datetime.fromtimestamp(clock.now(), dt.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=60))
        .not_valid_after(now + dt.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return built.public_bytes(serialization.Encoding.PEM)


@dataclass
class Service:
    """What is at the service's addresses; `asked` are all that were asked for."""

    clock: FakeClock
    pages: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pages.setdefault(CERTIFICATE, certificate(self.clock))

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url.startswith(f"{SERVICE}/?Action=ConfirmSubscription&"):
            return b"<ConfirmSubscriptionResponse/>"
        if url not in self.pages:
            raise FetchFailed(url)
        return self.pages[url]

    def gate(self) -> Gate:
        gate = gate_of(EndpointAuth(sns=SnsAuth(topics=(TOPIC,))), self.clock, self.fetch)
        assert gate is not None
        return gate

    def message(self, *, key: Any = KEY, version: Any = "2", **changed: str | None) -> dict[str, str]:
        """Return a signed message; what is `changed` is signed too, None leaves a field out."""
        moment = dt.datetime.fromtimestamp(self.clock.now(), dt.UTC)
        said: dict[str, str | None] = {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Message": '{"source": "aws.ecr"}',
            "Timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE,
            **changed,
        }
        message = {name: value for name, value in said.items() if value is not None}
        signed = "".join(f"{name}\n{message[name]}\n" for name in FIELDS if name in message)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = key.sign(signed.encode(), padding.PKCS1v15(), algorithm)
        return {"Signature": base64.b64encode(signature).decode(), **message}

    def confirmation(self, **changed: str | None) -> dict[str, str]:
        said = {
            "Type": "SubscriptionConfirmation",
            "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
            "Token": "2336412f37fb687f5d51e6e241d09c805a5a57b3",
            "Message": "You have chosen to subscribe",
            "SubscribeURL": "https://evil.example.com/?Action=ConfirmSubscription",
            **changed,
        }
        return self.message(**said)


@pytest.fixture
def service(fake_clock: FakeClock) -> Service:
    return Service(fake_clock)


def head_of(message: Mapping[str, Any], **headers: str) -> Head:
    named = {"x-amz-sns-topic-arn": message.get("TopicArn"), "x-amz-sns-message-id": message.get("MessageId")}
    said = {name: str(value) for name, value in named.items() if value is not None}
    said |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Head(CIMultiDict(said), URL("/webhooks/sns"))


async def verdict_on(gate: Gate, message: Mapping[str, Any], **headers: str) -> Verdict:
    head = head_of(message, **headers)
    first = await gate.admit(head)
    return await gate.prove(head, json.dumps(message).encode()) if first is Verdict.ADMITTED else first


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "ECR", "zwei\nZeilen ä"])
async def test_a_message_that_the_service_signed_is_admitted(
    service: Service, version: str, subject: str | None
) -> None:
    gate = service.gate()
    for number in range(3):
        message = service.message(version=version, Subject=subject, MessageId=f"id-{number}")
        assert await verdict_on(gate, message) is Verdict.ADMITTED
    assert service.asked == [CERTIFICATE], "the certificate is kept"


async def test_strangers_can_have_few_certificates_asked_for_at_a_time(service: Service) -> None:
    """Anybody who knows a topic's name can name certificates; each would be a connection of ours for ten seconds."""
    answer = asyncio.Event()

    async def fetch(url: str) -> bytes:
        found = await service.fetch(url)
        await answer.wait()
        return found

    gate = gate_of(EndpointAuth(sns=SnsAuth(topics=(TOPIC,))), service.clock, fetch)
    assert gate is not None
    genuine = [asyncio.create_task(verdict_on(gate, service.message(MessageId=f"id-{one}"))) for one in range(5)]
    await asyncio.sleep(0)
    strange = [
        service.message(key=OTHER, SigningCertURL=f"{SERVICE}/SimpleNotificationService-{one:032x}.pem")
        for one in range(20)
    ]
    service.pages |= {one["SigningCertURL"]: service.pages[CERTIFICATE] for one in strange}
    waiting = [asyncio.create_task(verdict_on(gate, one)) for one in strange[: AT_ONCE - 1]]
    await asyncio.sleep(0)
    for one in strange[AT_ONCE - 1 :]:
        assert await verdict_on(gate, one) is Verdict.UNKNOWN, "at once"
    answer.set()
    assert await asyncio.gather(*genuine) == [Verdict.ADMITTED] * 5
    assert await asyncio.gather(*waiting) == [Verdict.REFUSED] * (AT_ONCE - 1)
    assert service.asked.count(CERTIFICATE) == 1, "who comes meanwhile waits for the same answer"
    assert len(service.asked) == AT_ONCE
    assert await verdict_on(gate, strange[-1]) is Verdict.REFUSED, "there is room again"


async def test_each_message_counts_once_as_soon_as_it_is_safe(service: Service) -> None:
    gate, message = service.gate(), service.message()
    for _ in range(2):
        assert await verdict_on(gate, message) is Verdict.ADMITTED
    gate.taken(head_of(message))
    assert await verdict_on(gate, message) is Verdict.REPEATED
    assert await verdict_on(gate, service.message(MessageId="another")) is Verdict.ADMITTED


@pytest.mark.parametrize("name", ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Signature"])
async def test_what_was_changed_after_it_was_signed_is_refused(service: Service, name: str) -> None:
    message = service.message(Subject="ECR")
    message[name] = message[name][:-1] + ("A" if message[name][-1] != "A" else "B")
    assert await verdict_on(service.gate(), message) is Verdict.REFUSED
    assert await verdict_on(service.gate(), {**service.message(), name: 5}) is Verdict.REFUSED


@pytest.mark.parametrize(
    "changed",
    [
        {"TopicArn": "arn:aws:sns:eu-west-1:999999999999:ecr-events"},
        {"TopicArn": None},
        {"MessageId": None},
        {"MessageId": "a b"},
        {"Type": "Other"},
        {"Type": None},
        {"Timestamp": None},
        {"Timestamp": "yesterday"},
        {"Timestamp": "2026-01-01T00:00:00"},
        {"SignatureVersion": "3"},
        {"SignatureVersion": None},
        {"SigningCertURL": None},
        {"SigningCertURL": CERTIFICATE.replace("https", "http")},
        {"SigningCertURL": CERTIFICATE.replace("sns.eu-west-1", "sns.us-east-1")},
        {
            "SigningCertURL": CERTIFICATE.replace(
                "sns.eu-west-1.amazonaws.com", "sns.eu-west-1.amazonaws.com.evil.org"
            )
        },
        {"SigningCertURL": CERTIFICATE.replace("sns.eu-west-1.amazonaws.com", "bucket.s3.amazonaws.com")},
        {"SigningCertURL": CERTIFICATE.replace(".pem", ".pem?x=1")},
        {"SigningCertURL": CERTIFICATE.replace("Simple", "../Simple")},
        {"SigningCertURL": CERTIFICATE.replace("https://", "https://user@")},
    ],
)
async def test_a_genuine_signature_over_anything_else_is_refused(
    service: Service, changed: dict[str, str | None]
) -> None:
    assert await verdict_on(service.gate(), service.message(**changed)) is Verdict.REFUSED
    assert set(service.asked) <= {CERTIFICATE}


async def test_only_the_key_of_the_certificate_counts(service: Service) -> None:
    assert await verdict_on(service.gate(), service.message(key=OTHER)) is Verdict.REFUSED
    sha1 = {**service.message(version="1"), "SignatureVersion": "2"}
    assert await verdict_on(service.gate(), sha1) is Verdict.REFUSED


@pytest.mark.parametrize("offset", [-TOLERANCE - 1, TOLERANCE + 1])
async def test_a_message_of_another_hour_is_refused(service: Service, offset: float) -> None:
    moment = dt.datetime.fromtimestamp(service.clock.now() + offset, dt.UTC).isoformat()
    assert await verdict_on(service.gate(), service.message(Timestamp=moment)) is Verdict.REFUSED


async def test_headers_that_name_another_message_are_refused(service: Service) -> None:
    """By the id in the head a message is remembered, so it has to be the one that is signed."""
    gate, message = service.gate(), service.message()
    assert await verdict_on(gate, message, x_amz_sns_message_id="another") is Verdict.REFUSED
    assert await gate.admit(Head(CIMultiDict(), URL("/"))) is Verdict.REFUSED
    assert service.asked == []


@pytest.mark.parametrize("page", [None, b"", b"<html>", "expired", "curve"])
async def test_without_a_certificate_nobody_can_be_told_from_anybody(service: Service, page: Any) -> None:
    pages = {
        "expired": certificate(service.clock, days=-1),
        "curve": certificate(service.clock, ec.generate_private_key(ec.SECP256R1())),
    }
    if page is None:
        del service.pages[CERTIFICATE]
    else:
        service.pages[CERTIFICATE] = pages.get(page, page)
    gate = service.gate()
    assert await verdict_on(gate, service.message()) is Verdict.UNKNOWN
    service.pages[CERTIFICATE] = certificate(service.clock)
    assert await verdict_on(gate, service.message()) is Verdict.ADMITTED


async def test_a_certificate_that_ran_out_since_it_was_fetched_counts_no_more(service: Service) -> None:
    gate = service.gate()
    assert await verdict_on(gate, service.message()) is Verdict.ADMITTED
    service.clock.advance(31 * 86_400)
    for _ in range(2):
        assert await verdict_on(gate, service.message()) is Verdict.UNKNOWN
    service.pages[CERTIFICATE] = certificate(service.clock)
    assert await verdict_on(gate, service.message()) is Verdict.ADMITTED


async def test_a_subscription_to_our_topic_is_confirmed_at_the_service_and_nowhere_else(service: Service) -> None:
    gate = service.gate()
    assert await verdict_on(gate, service.confirmation()) is Verdict.ADMITTED
    (url,) = (one for one in service.asked if one != CERTIFICATE)
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{SERVICE}/"
    token = "2336412f37fb687f5d51e6e241d09c805a5a57b3"
    assert parse_qs(parts.query) == {"Action": ["ConfirmSubscription"], "TopicArn": [TOPIC], "Token": [token]}


@pytest.mark.parametrize("token", ["", "a&Action=DeleteTopic", "a b", "a" * 2_000, None])
async def test_a_token_that_is_none_confirms_nothing(service: Service, token: str | None) -> None:
    assert await verdict_on(service.gate(), service.confirmation(Token=token)) is Verdict.REFUSED
    assert set(service.asked) <= {CERTIFICATE}


async def test_a_forged_subscription_and_one_that_ends_confirm_nothing(service: Service) -> None:
    forged = {**service.confirmation(), "Token": "f" * 40}
    assert await verdict_on(service.gate(), forged) is Verdict.REFUSED
    ended = service.confirmation(Type="UnsubscribeConfirmation")
    assert await verdict_on(service.gate(), ended) is Verdict.ADMITTED
    assert set(service.asked) == {CERTIFICATE}


@given(st.one_of(st.binary(max_size=60), st.recursive(st.none() | st.text(), st.lists, max_leaves=3).map(
    lambda value: json.dumps({"TopicArn": TOPIC, "MessageId": "id", "Type": value, "Signature": value}).encode()
)))  # fmt: skip
async def test_no_garbage_raises_or_passes(body: bytes) -> None:
    service = Service(FakeClock())
    head = head_of({"TopicArn": TOPIC, "MessageId": "id"})
    assert await service.gate().prove(head, body) is Verdict.REFUSED
