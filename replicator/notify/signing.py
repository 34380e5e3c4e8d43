"""Signatures by Standard Webhooks 1.0.0: HMAC-SHA256 over id, time and body. Pure."""

import base64
import hmac
from collections.abc import Iterable


def signatures(keys: Iterable[bytes], identifier: str, seconds: int, body: bytes) -> str:
    """Return the value of `webhook-signature`, with one signature for each key; `seconds` is the Unix time."""
    signed = f"{identifier}.{seconds}.".encode("ascii") + body
    return " ".join("v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode("ascii") for key in keys)
