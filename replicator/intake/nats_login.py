"""How a subscription proves to NATS who it is. Secrets are read when they are told, by TLS where that is wanted."""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

from replicator.errors import SettingsError
from replicator.settings.nats_creds import read_creds
from replicator.settings.subscriptions import Subscription

_T = TypeVar("_T")


def login_of(settings: Subscription, client: Any) -> dict[str, Any]:
    """Return the login as nats-py's `connect` takes it. What it calls raises SettingsError."""
    credentials = settings.credentials
    if credentials is None:
        return {}

    def told(secret: Callable[[], _T]) -> Callable[[], _T]:
        def tell() -> _T:
            refuse_plain(settings, client)
            return secret()

        return tell

    if credentials.creds_file is not None:
        file = credentials.creds_file

        def token() -> bytes:
            return read_creds(file).token.encode()

        def signed(nonce: str) -> bytes:
            refuse_plain(settings, client)
            return _signed(read_creds(file).seed, nonce)

        return {"user_jwt_cb": told(token), "signature_cb": signed}
    if credentials.token is not None:
        return {"token": told(credentials.token.reveal)}
    if credentials.password is not None:
        return {"user": credentials.username, "password": told(credentials.password.reveal)}
    return {}


def refuse_plain(settings: Subscription, client: Any) -> None:
    """Raise SettingsError when TLS is wanted and the server did not ask for it: the library speaks it only then."""
    # The library does not tell otherwise; were this renamed, nothing would count as encrypted.
    if settings.encrypted and not getattr(client, "_server_info", {}).get("tls_required"):
        raise SettingsError("the server does not speak TLS")


def _signed(seed: str, nonce: str) -> bytes:
    import nkeys  # noqa: PLC0415 -- an extra

    try:
        pair = nkeys.from_seed(bytearray(seed.encode()))
        return base64.b64encode(pair.sign(nonce.encode()))
    except Exception:  # noqa: BLE001 -- its errors have no root of their own, and may hold the seed
        raise SettingsError("the seed of the key is not one that NATS made") from None
