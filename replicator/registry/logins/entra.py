"""Tokens of Microsoft Entra, by the SDK. Only this module imports it, and only when a token is asked for."""

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replicator.errors import SettingsError
from replicator.registry.logins.sdk_proxies import SdkProxies, of_requests
from replicator.registry.logins.source import NoProof
from replicator.settings.clouds import AzureLogin

if TYPE_CHECKING:
    from azure.identity import (
        CertificateCredential,
        ClientSecretCredential,
        ManagedIdentityCredential,
        WorkloadIdentityCredential,
    )

    _Credential = (
        CertificateCredential | ClientSecretCredential | ManagedIdentityCredential | WorkloadIdentityCredential
    )

_NETWORK: dict[str, Any] = {"retry_total": 1, "connection_timeout": 5, "read_timeout": 10}
_CODE = re.compile(r"AADSTS[0-9]{1,10}")

# What the SDK warns of it raises as well, and that becomes one line of ours.
logging.getLogger("azure.identity").setLevel(logging.ERROR)


def entra_token(settings: AzureLogin, proxies: SdkProxies) -> str:
    """Return a token of Entra for the configured identity; blocks for up to a minute.

    Raises NoProof, whose message holds nothing of what Entra said but the code of the error.
    """
    from azure.core.exceptions import AzureError, ClientAuthenticationError  # noqa: PLC0415 -- an extra
    from azure.identity import CredentialUnavailableError  # noqa: PLC0415 -- an extra

    try:
        # A new one each time: what was rotated counts, and a token is kept in one place only.
        with _credential(settings, proxies) as credential:
            return credential.get_token(f"{settings.audience.rstrip('/')}/.default").token
    except SettingsError as error:
        raise NoProof(str(error), temporary=error.temporary) from error
    except (AzureError, ValueError, OSError) as error:
        code = _CODE.search(str(error))
        problem = f"refused the identity ({code[0]})" if code else f"gave no token ({type(error).__name__})"
        # The SDK wraps whatever went wrong on the way as if it had been refused.
        refused = isinstance(error, ClientAuthenticationError) and error.__cause__ is None
        unavailable = isinstance(error, CredentialUnavailableError)
        raise NoProof(f"Microsoft Entra {problem}", temporary=unavailable or not refused) from None


def _credential(settings: AzureLogin, proxies: SdkProxies) -> "_Credential":
    from azure.identity import (  # noqa: PLC0415 -- an extra
        ClientSecretCredential,
        ManagedIdentityCredential,
        WorkloadIdentityCredential,
    )

    options = dict(_NETWORK)
    if settings.authority is not None:
        # It is believed as it is written; the SDK would ask the public cloud whether it knows it.
        options |= {"authority": settings.authority, "disable_instance_discovery": True}
    if settings.identity == "managed_identity":
        return ManagedIdentityCredential(client_id=settings.client_id, **_NETWORK)
    towards = proxies.towards(settings.authority or _usual_authority())
    if towards is not None:
        options["proxies"] = of_requests(towards)
    if settings.identity == "workload_identity":
        return WorkloadIdentityCredential(tenant_id=settings.tenant_id, client_id=settings.client_id, **options)
    if settings.client_certificate_file is not None:
        return _by_certificate(settings, settings.client_certificate_file, options)
    secret = settings.client_secret
    return ClientSecretCredential(
        settings.tenant_id or "", settings.client_id or "", "" if secret is None else secret.reveal(), **options
    )


def _by_certificate(settings: AzureLogin, file: Path, options: dict[str, Any]) -> "_Credential":
    from azure.identity import CertificateCredential  # noqa: PLC0415 -- an extra

    try:
        return CertificateCredential(settings.tenant_id or "", settings.client_id or "", str(file), **options)
    except (ValueError, TypeError, OSError):
        # The cause is dropped on purpose: it may hold a part of the key.
        raise SettingsError(f"the file {file} holds no certificate with an RSA key of its own") from None


def _usual_authority() -> str:
    host = os.environ.get("AZURE_AUTHORITY_HOST") or "login.microsoftonline.com"
    return f"https://{host.removeprefix('https://')}"
