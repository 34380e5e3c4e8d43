"""Receivers of outgoing webhooks, made of the settings."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field

from yarl import URL

from replicator.errors import SettingsError
from replicator.news import Audience, Happening, Place
from replicator.proxies import Proxies, Proxy, proxies_of
from replicator.registry.tls import tls_contexts
from replicator.settings.schema import Notification, Settings
from replicator.settings.secrets import Secret, standard_webhooks_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    """Where to post, and with what. Its text has neither the URL, whose path may be a secret, nor a key."""

    name: str
    url: URL = field(repr=False)
    secrets: tuple[Secret, ...]
    tls: ssl.SSLContext = field(repr=False)
    proxies: Proxies

    @property
    def proxy(self) -> Proxy | None:
        """The proxy on the way there."""
        return self.proxies.towards(self.url.scheme, self.url.host or "", self.url.port or 0)

    def keys(self) -> tuple[bytes, ...]:
        """Return the keys as their files hold them now; those that cannot be read are left out.

        Raises SettingsError when none can.
        """
        found, problem = [], SettingsError("no secret of it is a key")
        for secret in self.secrets:
            try:
                key = standard_webhooks_key(secret.reveal())
            except SettingsError as error:
                problem = error
                continue
            if key:
                found.append(key)
        if not found:
            raise problem
        return tuple(found)


def open_receivers(settings: Settings, environ: Mapping[str, str] = os.environ) -> tuple[Receiver, ...]:
    """Return the receivers of a configuration. Raises SettingsError for certificates that cannot be used."""
    return tuple(_receiver(one, environ) for one in settings.notify)


def audience_of(settings: Settings) -> Audience:
    """Return who is told of what under a configuration."""
    return Audience(
        receivers={
            happening: names
            for happening in Happening
            if (names := tuple(one.name for one in settings.notify if happening.value in one.events))
        },
        replicas={
            replica.name: Place(prefix=replica.repository_prefix, labels=replica.labels)
            for replica in settings.replicas
        },
    )


def _receiver(settings: Notification, environ: Mapping[str, str]) -> Receiver:
    try:
        url = URL(settings.url)
    except ValueError:
        raise SettingsError(f"the url of the receiver {settings.name} cannot be used") from None
    return Receiver(
        name=settings.name,
        url=url,
        secrets=settings.keys,
        tls=tls_contexts(settings.tls).registry,
        proxies=proxies_of(settings.proxy, environ),
    )
