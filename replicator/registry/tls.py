"""TLS contexts: one for the registry itself, one for the other hosts it sends us to (S13)."""

import ssl
from dataclasses import dataclass

from replicator.errors import Reason, SettingsError
from replicator.settings.registries import Tls


@dataclass(frozen=True, slots=True)
class TlsContexts:
    """`registry` has the settings' client certificate and leniency; `others` has neither."""

    registry: ssl.SSLContext
    others: ssl.SSLContext


def tls_contexts(tls: Tls | None) -> TlsContexts:
    """Build both contexts. Raises SettingsError when a file cannot be used."""
    try:
        return TlsContexts(_for_registry(tls), _for_others(tls))
    except (OSError, ValueError) as error:
        problem = SettingsError(f"the certificates under tls: cannot be used ({error})")
        problem.reason = Reason.TLS
        raise problem from error


def _for_registry(tls: Tls | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if tls is None else tls.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls is None:
        return context
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _for_others(tls: Tls | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls is not None and tls.ca_file is not None:
        context.load_verify_locations(tls.ca_file)
    return context
