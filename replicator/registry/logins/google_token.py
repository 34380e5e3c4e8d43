"""Access tokens of Google, by the SDK. Only this module imports it, and only when a token is asked for."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from replicator.registry.logins.sdk_proxies import SdkProxies, of_requests
from replicator.registry.logins.source import NoProof
from replicator.settings.clouds import GcpLogin

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_LIFE = 3600.0
_SHORTEST = 60.0


def google_token(settings: GcpLogin, proxies: SdkProxies) -> tuple[str, float]:
    """Return an access token and the seconds that it lives; blocks for up to a minute.

    Raises NoProof, whose message holds nothing of what Google said.
    """
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError  # noqa: PLC0415 -- an extra
    from google.auth.transport.requests import Request  # noqa: PLC0415 -- an extra

    plain: Any = Request()

    def ask(url: str, *arguments: Any, **options: Any) -> Any:
        towards = proxies.towards(url)
        return plain(url, *arguments, **options, **({} if towards is None else {"proxies": of_requests(towards)}))

    try:
        # New ones each time: what was rotated counts.
        credentials = _credentials(settings)
        credentials.refresh(ask)  # type: ignore[no-untyped-call]  # the SDK is typed in parts
    except DefaultCredentialsError:
        raise NoProof("nothing here says which identity of Google Cloud this is", temporary=True) from None
    except (GoogleAuthError, ValueError, OSError) as error:
        temporary = bool(getattr(error, "retryable", True))
        raise NoProof(f"Google gave no token ({type(error).__name__})", temporary=temporary) from None
    token, expiry = credentials.token, credentials.expiry
    if not isinstance(token, str) or not token:
        raise NoProof("Google gave no token", temporary=True)
    # The SDK keeps times of UTC without saying so.
    life = _LIFE if expiry is None else (expiry - datetime.now(UTC).replace(tzinfo=None)).total_seconds()
    return token, max(_SHORTEST, life)


def _credentials(settings: GcpLogin) -> "Credentials":
    import google.auth  # noqa: PLC0415 -- an extra
    from google.oauth2.service_account import Credentials as KeyCredentials  # noqa: PLC0415 -- an extra

    if settings.key_file is not None:
        made: Credentials = KeyCredentials.from_service_account_file(str(settings.key_file), scopes=_SCOPES)  # type: ignore[no-untyped-call]  # the SDK is typed in parts
        return made
    found: Credentials = google.auth.default(scopes=_SCOPES)[0]
    return found
