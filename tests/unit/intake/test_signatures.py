"""Signed deliveries: the sender's own forms pass, everything else does not, and nothing counts twice (S16)."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from replicator.intake import taken_ids
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import REREAD_SECONDS, Gate, Head, Verdict
from replicator.intake.signatures import BodySignature, StandardWebhooks
from replicator.settings.credentials import EndpointAuth, HmacSha1Auth, HmacSha256Auth, StandardWebhooksAuth
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock

KEY = "canary-signing-key-1"
BODY = b'{"events": []}'
NAME = "X-Hub-Signature-256"
# The worked example of the specification's own libraries.
STANDARD_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
TOLERANCE = 300.0


def head(headers: Mapping[str, str | tuple[str, ...]]) -> Head:
    pairs = [
        (name, each) for name, value in headers.items() for each in (value if isinstance(value, tuple) else (value,))
    ]
    return Head(CIMultiDict(pairs), URL("/webhooks/primary"))


def signed(body: bytes = BODY, key: str = KEY, algorithm: str = "sha256") -> str:
    return hmac.new(key.encode(), body, algorithm).hexdigest()


def body_gate(clock: FakeClock, *keys: str, algorithm: str = "sha256") -> BodySignature:
    return BodySignature(algorithm, NAME, [Secret.of_text(key) for key in keys], clock=clock)


async def verdict_on(gate: Gate, headers: Mapping[str, str | tuple[str, ...]], body: bytes = BODY) -> Verdict:
    first = await gate.admit(head(headers))
    return await gate.prove(head(headers), body) if first is Verdict.ADMITTED else first


@pytest.mark.parametrize(
    "value", [f"sha256={signed()}", signed(), signed().upper(), f"SHA256={signed().upper()}", f" {signed()} "]
)
async def test_a_signature_in_every_form_that_senders_use_is_admitted(fake_clock: FakeClock, value: str) -> None:
    assert await verdict_on(body_gate(fake_clock, KEY), {NAME: value}) is Verdict.ADMITTED


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("sha256=",),
        ("sha256",),
        (f"sha1={signed()}",),
        (signed(algorithm="sha1"),),
        (f"sha256={signed()}0",),
        (f"sha256={signed()}00",),
        (signed()[:-2],),
        (signed()[:2],),
        (signed(b""),),
        (signed(BODY + b" "),),
        (signed(key="other"),),
        (signed(), signed()),
        ("zz" * 32,),
        ("00" * 500_000,),
        ("\udcff\u20ac",),
        (base64.b64encode(bytes.fromhex(signed())).decode(),),
    ],
)
async def test_any_other_signature_is_refused(fake_clock: FakeClock, values: tuple[str, ...]) -> None:
    assert await verdict_on(body_gate(fake_clock, KEY), {NAME: values}) is Verdict.REFUSED


async def test_what_holds_no_signature_is_refused_before_the_body_is_read(fake_clock: FakeClock) -> None:
    assert await body_gate(fake_clock, KEY).admit(head({})) is Verdict.REFUSED
    assert await standard_gate(fake_clock).admit(head({})) is Verdict.REFUSED


async def test_one_changed_byte_of_the_body_is_noticed(fake_clock: FakeClock) -> None:
    gate = body_gate(fake_clock, KEY)
    for place in range(len(BODY)):
        changed = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
        assert await verdict_on(gate, {NAME: signed()}, changed) is Verdict.REFUSED


async def test_both_keys_count_while_one_replaces_the_other(fake_clock: FakeClock, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("canary-old\n")
    gate = BodySignature("sha256", NAME, [Secret.of_file(old), Secret.of_file(new)], clock=fake_clock)
    assert await verdict_on(gate, {NAME: signed(key="canary-old")}) is Verdict.ADMITTED
    new.write_text("canary-new\n")
    fake_clock.advance(REREAD_SECONDS)
    assert await verdict_on(gate, {NAME: signed(key="canary-new")}) is Verdict.ADMITTED
    old.unlink()
    fake_clock.advance(REREAD_SECONDS)
    assert await verdict_on(gate, {NAME: signed(key="canary-old")}) is Verdict.REFUSED
    new.unlink()
    fake_clock.advance(REREAD_SECONDS)
    assert await verdict_on(gate, {NAME: signed(key="canary-new")}) is Verdict.UNKNOWN


@pytest.mark.parametrize("key", ["", "\n"])
async def test_an_empty_key_admits_nobody(fake_clock: FakeClock, key: str) -> None:
    headers = {NAME: signed(key="")}
    assert await verdict_on(body_gate(fake_clock, key), headers) is Verdict.UNKNOWN
    assert await verdict_on(standard_gate(fake_clock, key=key), standard(key=b"")) is Verdict.UNKNOWN


def standard_gate(clock: FakeClock, *, key: str = STANDARD_KEY) -> StandardWebhooks:
    return StandardWebhooks([Secret.of_text(key)], tolerance=TOLERANCE, clock=clock)


def standard(
    identifier: str = "msg_1", seconds: str | None = None, *, body: bytes = BODY, key: bytes | None = None
) -> dict[str, str]:
    secret = base64.b64decode(STANDARD_KEY.removeprefix("whsec_")) if key is None else key
    stamp = str(int(FakeClock().now())) if seconds is None else seconds
    digest = hmac.new(secret, f"{identifier}.{stamp}.".encode() + body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return {"webhook-id": identifier, "webhook-timestamp": stamp, "webhook-signature": signature}


async def test_the_worked_example_of_standard_webhooks_is_admitted() -> None:
    clock = FakeClock()
    clock.set_wall(1614265330.0)
    assert await verdict_on(standard_gate(clock), STANDARD, STANDARD_BODY) is Verdict.ADMITTED


async def test_one_of_several_signatures_is_enough(fake_clock: FakeClock) -> None:
    right = standard()
    wrong = base64.b64encode(bytes(32)).decode()
    for line in (f"v1,{wrong} {right['webhook-signature']}", f"v1a,{wrong} v9,x {right['webhook-signature']}"):
        headers = {**right, "webhook-signature": line}
        assert await verdict_on(standard_gate(fake_clock), headers) is Verdict.ADMITTED


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "msg_2"},
        {"webhook-id": ""},
        {"webhook-id": "msg.1"},
        {"webhook-id": ("msg_1", "msg_1")},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-5"},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "9" * 5_000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,####"},
        {"webhook-signature": "v1," + base64.b64encode(bytes(32)).decode()},
        {"webhook-signature": standard()["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": "v1,AAAA " * 16 + standard()["webhook-signature"]},
    ],
)
async def test_anything_else_is_refused(fake_clock: FakeClock, change: Mapping[str, str | tuple[str, ...]]) -> None:
    assert await verdict_on(standard_gate(fake_clock), {**standard(), **change}) is Verdict.REFUSED


@pytest.mark.parametrize("offset", [-TOLERANCE, 0, TOLERANCE])
async def test_a_time_within_the_tolerance_is_admitted_and_beyond_it_refused(
    fake_clock: FakeClock, offset: float
) -> None:
    now = fake_clock.now()
    gate = standard_gate(fake_clock)
    assert await verdict_on(gate, standard(seconds=str(int(now + offset)))) is Verdict.ADMITTED
    beyond = offset + (2 if offset >= 0 else -2)
    expected = Verdict.ADMITTED if offset == 0 else Verdict.REFUSED
    assert await verdict_on(gate, standard(seconds=str(int(now + beyond)))) is expected


async def test_what_was_taken_is_told_from_what_comes_anew(fake_clock: FakeClock) -> None:
    gate = standard_gate(fake_clock)
    first, second = standard("msg_1"), standard("msg_2")
    assert await verdict_on(gate, first) is Verdict.ADMITTED
    # Not taken yet, as when the store could not commit: the sender's next try counts.
    assert await verdict_on(gate, first) is Verdict.ADMITTED
    gate.taken(head(first))
    assert await verdict_on(gate, first) is Verdict.REPEATED
    assert await verdict_on(gate, second) is Verdict.ADMITTED
    # Also with a newer time, as the sender's own repetition has it, and never with a forged one.
    later = standard("msg_1", str(int(fake_clock.now()) + 5))
    assert await verdict_on(gate, later) is Verdict.REPEATED
    assert await verdict_on(gate, {**first, "webhook-signature": "v1,AAAA"}) is Verdict.REFUSED


async def test_an_id_is_remembered_for_as_long_as_its_signature_would_pass(fake_clock: FakeClock) -> None:
    gate = standard_gate(fake_clock)
    # The latest time that passes now, so that it passes longest.
    ahead = standard("msg_1", str(int(fake_clock.now() + TOLERANCE)))
    assert await verdict_on(gate, ahead) is Verdict.ADMITTED
    gate.taken(head(ahead))
    verdicts = []
    while (verdict := await verdict_on(gate, ahead)) is not Verdict.REFUSED:
        verdicts.append(verdict)
        fake_clock.advance(7)
    assert set(verdicts) == {Verdict.REPEATED}


async def test_ids_take_bounded_memory(fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taken_ids, "MOST_REMEMBERED", 3)
    gate = standard_gate(fake_clock)
    for number in range(5):
        gate.taken(head(standard(f"msg_{number}")))
    known = [await verdict_on(gate, standard(f"msg_{number}")) for number in range(5)]
    assert known == [Verdict.ADMITTED] * 2 + [Verdict.REPEATED] * 3


@given(st.dictionaries(st.sampled_from([*STANDARD, NAME]), st.text(), max_size=4), st.binary(max_size=50))
async def test_no_garbage_raises_or_passes(headers: dict[str, str], body: bytes) -> None:
    clock = FakeClock()
    for gate in (body_gate(clock, KEY), standard_gate(clock)):
        assert await verdict_on(gate, headers, body) is Verdict.REFUSED


async def test_the_settings_choose_the_gate(fake_clock: FakeClock) -> None:
    key = Secret.of_text(KEY)
    github = gate_of(EndpointAuth(hmac_sha256=HmacSha256Auth(secret_file=(key,))), fake_clock)
    nexus = gate_of(EndpointAuth(hmac_sha1=HmacSha1Auth(secret_env=key)), fake_clock)
    text = Secret.of_text(STANDARD_KEY)
    other = gate_of(EndpointAuth(standard_webhooks=StandardWebhooksAuth(secret_file=(text,))), fake_clock)
    assert github is not None
    assert nexus is not None
    assert other is not None
    assert await verdict_on(github, {NAME: f"sha256={signed()}"}) is Verdict.ADMITTED
    sha1 = {"X-Nexus-Webhook-Signature": signed(algorithm="sha1")}
    assert await verdict_on(nexus, sha1) is Verdict.ADMITTED
    assert await verdict_on(other, standard()) is Verdict.ADMITTED
