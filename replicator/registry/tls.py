"""TLS contexts: one for the registry itself, one for the other hosts it sends us to (S13)."""

import functools
import ssl
from dataclasses import dataclass
from pathlib import Path

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


def proxy_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return the trust in a proxy that is spoken to by TLS. Raises SettingsError when the file cannot be used."""
    try:
        return _systems() if ca_file is None else _context(ca_file)
    except (OSError, ValueError) as error:
        problem = SettingsError(f"the certificates under proxy: cannot be used ({error})")
        problem.reason = Reason.TLS
        raise problem from error


@functools.cache
def _systems() -> ssl.SSLContext:
    # Reading the system's certificates takes long enough to do it once; nobody changes this context.
    return _context(None)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _for_registry(tls: Tls | None) -> ssl.SSLContext:
    if tls is None:
        return _systems()
    context = _context(tls.ca_file)
    if tls.cert_file is not None:
        context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _for_others(tls: Tls | None) -> ssl.SSLContext:
    if tls is None or tls.ca_file is None:
        return _systems()
    context = _context(None)
    context.load_verify_locations(tls.ca_file)
    return context
