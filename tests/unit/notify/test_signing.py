"""Signatures are those of Standard Webhooks 1.0.0, and what the guide tells receivers to do accepts them."""

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict
from yarl import URL

from replicator.clock import SystemClock
from replicator.intake.gates import Head, Verdict
from replicator.intake.signatures import StandardWebhooks
from replicator.notify.signing import signatures
from replicator.settings.secrets import Secret, standard_webhooks_key

GUIDE = Path(__file__).parents[3] / "docs" / "notifications.md"
KEYS = st.binary(min_size=24, max_size=64)


def guide() -> dict[str, Any]:
    """Return what the example in the guide defines."""
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def test_the_example_of_the_specification() -> None:
    """The values that the libraries of standardwebhooks.com test themselves with."""
    key = standard_webhooks_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = signatures([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(keys=st.lists(KEYS, min_size=1, max_size=3, unique=True), body=st.binary(max_size=200))
def test_each_key_signs_and_no_other_is_accepted(keys: list[bytes], body: bytes) -> None:
    verify, now = guide()["verify"], int(SystemClock().now())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signatures(keys, "msg_1", now, body),
    }
    for key in keys:
        verify("whsec_" + base64.b64encode(key).decode(), headers, body)
    stranger = "whsec_" + base64.b64encode(bytes(24)).decode()
    if bytes(24) not in keys:
        with pytest.raises(ValueError, match="somebody else"):
            verify(stranger, headers, body)
    secret = "whsec_" + base64.b64encode(keys[0]).decode()
    for wrong in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(now - 1)}):
        with pytest.raises(ValueError, match="somebody else"):
            verify(secret, headers | wrong, body)
    with pytest.raises(ValueError, match="somebody else"):
        verify(secret, headers, body + b" ")
    with pytest.raises(ValueError, match="too old"):
        verify(secret, headers | {"webhook-timestamp": str(now - 400)}, body)


async def test_our_own_gate_for_standard_webhooks_takes_them() -> None:
    clock, key, body = SystemClock(), b"k" * 32, b"{}"
    now = int(clock.now())
    gate = StandardWebhooks([Secret.of_text("whsec_" + base64.b64encode(key).decode())], tolerance=300, clock=clock)
    signed = signatures([b"other" * 6, key], "msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(now), "webhook-signature": signed}
    head = Head(CIMultiDict(headers), URL("/"))
    assert await gate.admit(head) is Verdict.ADMITTED
    assert await gate.prove(head, body) is Verdict.ADMITTED
    assert await gate.prove(head, b"[]") is Verdict.REFUSED
