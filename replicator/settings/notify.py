"""Settings of outgoing webhooks: whom the daemon tells of what happened on the replicas."""

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, model_validator

from replicator.settings.fields import EndpointName, Many, PostUrl, refuse
from replicator.settings.files import SecretFiles, SecretVariable
from replicator.settings.proxies import ProxyChoice
from replicator.settings.registries import Tls
from replicator.settings.secrets import Secret, standard_webhooks_key
from replicator.settings.section import Section

SHORTEST_KEY, LONGEST_KEY = 24, 64
"""Bytes of a key, as Standard Webhooks wants it."""
_NAME_LENGTH = 63


def name_of_url(url: str) -> str:
    """Return the name that a receiver has when none is written: the host of its URL, "" when that is none."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return ""
    return re.sub(r"[^a-z0-9._~-]", "-", host)[:_NAME_LENGTH]


class Notification(Section):
    """A receiver of signed webhooks."""

    url: PostUrl = Field(
        description="Where to post; `http://` only if written so here. Nothing else is ever contacted.",
        examples=["https://deploy.example.com/arrived"],
    )
    name: EndpointName = Field(
        "", description="Label in metrics and logs, and what waits is kept under; absent: the host of the URL."
    )
    events: Many[Literal["replicated", "parked", "recovered", "late"]] = Field(
        min_length=1, description="What to tell.", examples=[["replicated"]]
    )
    secret_file: SecretFiles = Field(
        (),
        description="File that holds the key for signatures, `whsec_BASE64`; with a list, while it is rotated, all "
        "of them sign.",
    )
    secret_env: SecretVariable | None = Field(None, description="Environment variable that holds that key.")
    tls: Tls | None = Field(None, description="Own certificates; absent: the system's trust.")
    proxy: ProxyChoice = Field(
        None,
        description="HTTP proxy on the way: a URL, a mapping, `off`, or `environment`, as for registries.",
    )

    @property
    def keys(self) -> tuple[Secret, ...]:
        """All keys that sign now."""
        return self.secret_file if self.secret_env is None else (*self.secret_file, self.secret_env)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, dict) and "name" not in data and isinstance(data.get("url"), str):
            return {**data, "name": name_of_url(data["url"])}
        return data

    @model_validator(mode="after")
    def _can_be_used(self, info: ValidationInfo) -> "Notification":
        try:
            valid = bool(urlsplit(self.url).hostname) and urlsplit(self.url).port != 0
        except ValueError:
            valid = False
        if not valid:
            refuse("has a url that names no valid host", "write url: https://HOST/PATH")
        for secret in self.keys if info.context is not None else ():
            if not SHORTEST_KEY <= len(standard_webhooks_key(secret.reveal())) <= LONGEST_KEY:
                refuse(
                    f"the secret in {secret.origin} is no key",
                    f"write whsec_ and {SHORTEST_KEY} to {LONGEST_KEY} random bytes in base64 there",
                )
        return self
