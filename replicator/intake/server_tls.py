"""HTTPS of the webhook listener: its certificate, and who may connect at all."""

import ssl
from pathlib import Path

from replicator.errors import Reason, SettingsError
from replicator.settings.schema import WebhookTls


class ServerTls:
    """The listener's TLS context. What its files hold is used from the next connection after `renew` on.

    With a `client_ca_file` nobody connects without a certificate that was signed by one of those in it. Raises
    SettingsError when a file cannot be used.
    """

    def __init__(self, settings: WebhookTls) -> None:
        self._settings = settings
        self.context = self._made()

    @property
    def files(self) -> frozenset[Path]:
        """The files that were read."""
        named = self._settings
        return frozenset(file for file in (named.cert_file, named.key_file, named.client_ca_file) if file is not None)

    def renew(self) -> None:
        """Read the files again. Authorities that went away count until a restart. Raises SettingsError: all stays."""
        # On another context first: a key that does not fit would leave this one with half of a pair.
        self._made()
        self._load(self.context)

    def _made(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._settings.client_ca_file is not None:
            context.verify_mode = ssl.CERT_REQUIRED
        self._load(context)
        return context

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self._settings.cert_file, self._settings.key_file, password=_no_password)
            if self._settings.client_ca_file is not None:
                context.load_verify_locations(self._settings.client_ca_file)
        except (OSError, ValueError) as error:
            problem = SettingsError(f"webhooks.tls: the certificates cannot be used ({error})")
            problem.reason = Reason.TLS
            raise problem from error


def _no_password() -> str:
    # Without this OpenSSL would ask at the terminal.
    raise ValueError("the key is encrypted; write the path of one that is not")
