"""What `check` shows as a sender is what the gates ask for, and what it sends means nothing to the decoders."""

import base64
from collections.abc import Mapping

import pytest
from multidict import CIMultiDict
from yarl import URL

from replicator.intake.formats.known import FORMATS
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import Head, Verdict
from replicator.intake.quiet_deliveries import QUIET
from replicator.intake.showing import secrets_of, shown
from replicator.settings.credentials import (
    BasicAuth,
    EndpointAuth,
    HeaderAuth,
    HmacSha1Auth,
    HmacSha256Auth,
    JwtAuth,
    QueryAuth,
    StandardWebhooksAuth,
)
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock

KEYS = (Secret.of_text("canary of today"), Secret.of_text("canary of yesterday"))
ENCODED = tuple(Secret.of_text(f"whsec_{base64.b64encode(text).decode()}") for text in (b"a" * 24, b"b" * 24))
WAYS = {
    "bearer": EndpointAuth(bearer_token_file=KEYS),
    "basic": EndpointAuth(basic=BasicAuth(username="hook", password_file=KEYS)),
    "header": EndpointAuth(header=HeaderAuth(name="X-Hook-Token", value_file=KEYS)),
    "query": EndpointAuth(query=QueryAuth(name="token", value_file=KEYS)),
    "sha256": EndpointAuth(hmac_sha256=HmacSha256Auth(secret_file=KEYS)),
    "sha1": EndpointAuth(hmac_sha1=HmacSha1Auth(secret_file=KEYS)),
    "standard": EndpointAuth(standard_webhooks=StandardWebhooksAuth(secret_file=ENCODED)),
}
BODY = b'{"events": []}'


async def _verdict(auth: EndpointAuth, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Verdict:
    gate = gate_of(auth, FakeClock())
    assert gate is not None
    head = Head(CIMultiDict(headers), URL("/webhooks/primary").update_query(query))
    first = await gate.admit(head)
    return await gate.prove(head, body) if first is Verdict.ADMITTED else first


@pytest.mark.parametrize("way", WAYS)
async def test_each_gate_admits_what_is_shown_and_nothing_for_another_body(way: str) -> None:
    proof = shown(WAYS[way], BODY, identifier="check-1", now=FakeClock().now())
    assert proof is not None
    assert await _verdict(WAYS[way], proof.headers, proof.query, BODY) is Verdict.ADMITTED
    assert await _verdict(WAYS[way], {}, {}, BODY) is Verdict.REFUSED
    if way in {"sha256", "sha1", "standard"}:
        assert await _verdict(WAYS[way], proof.headers, proof.query, BODY + b" ") is Verdict.REFUSED
    assert "canary" not in repr(proof)


def test_all_secrets_are_known_and_none_is_ours_where_the_sender_signs() -> None:
    assert {way: len(secrets_of(auth)) for way, auth in WAYS.items()} == dict.fromkeys(WAYS, 2)
    google = EndpointAuth(jwt=JwtAuth(issuer="https://accounts.google.com", audience=("a",), claims={"email": "b"}))
    assert secrets_of(google) == ()
    assert shown(google, BODY, identifier="check-1", now=0.0) is None
    nobody = shown(None, BODY, identifier="check-1", now=0.0)
    assert nobody is not None
    assert (nobody.headers, nobody.query) == ({}, {})


@pytest.mark.parametrize("name", QUIET)
def test_a_quiet_delivery_is_read_and_asks_for_nothing(name: str) -> None:
    delivery = QUIET[name]
    decoded = FORMATS[name].decode(delivery.body, CIMultiDict(delivery.headers), limit=1 << 20)
    assert (decoded.changes, decoded.unreadable, decoded.reply) == ((), (), None)
    assert len(decoded.irrelevant) == 1


def test_the_formats_without_one_are_those_that_tell_of_pushes_alone() -> None:
    assert set(FORMATS) - set(QUIET) == {"aliyun", "dockerhub", "sns"}
