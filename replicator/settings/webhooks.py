"""Settings of intake: the listener for webhooks, its endpoints, and the subscriptions beside them."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from replicator.settings.credentials import EndpointAuth
from replicator.settings.fields import Duration, EndpointName, EndpointPath, Listen, ListenAddress, Many, Size
from replicator.settings.files import FilePath, Word
from replicator.settings.section import Section
from replicator.settings.senders import Described, Format, Hosts, max_body
from replicator.settings.subscriptions import Subscription


class WebhookTls(Section):
    """HTTPS for the webhook listener."""

    cert_file: FilePath = Field(description="Certificate, PEM.")
    key_file: FilePath = Field(description="Its key, PEM.")
    client_ca_file: FilePath | None = Field(None, description="Who must have signed a sender's certificate.")


def name_of_path(path: str) -> str:
    """Return the name that an endpoint has when none is written: the last part of its path."""
    return path.rpartition("/")[2]


class Endpoint(Section):
    """A path that takes the webhooks of one sender."""

    path: EndpointPath = Field(description="Path of the URL.", examples=["/webhooks/primary"])
    name: EndpointName = Field("", description="Label in metrics and logs; absent: the last part of the path.")
    format: Format = Field(
        "distribution",
        description="Whose webhooks these are; `auto` finds out, `generic` goes by what `generic` says.",
    )
    generic: Described = None
    hosts: Hosts = ()
    max_body: Size = max_body()
    auth: Annotated[EndpointAuth | None, Word("none")] = Field(
        description="What the sender must show; the word `none` if nothing.",
        examples=[{"bearer_token_file": "/run/secrets/hook"}],
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        if isinstance(data, dict) and "name" not in data and isinstance(data.get("path"), str):
            return {**data, "name": name_of_path(data["path"])}
        return data


class Webhooks(Section):
    """The listener for webhooks."""

    listen: Listen = Field(ListenAddress("0.0.0.0", 8080), description="Where to listen.")  # noqa: S104 -- registries call from other machines; documented
    tls: WebhookTls | None = Field(None, description="HTTPS; absent: plain HTTP, for a proxy in front.")
    untagged_hold: Duration = Field(
        5.0, ge=0, le=3600, description="How long untagged pushes wait for the index that holds them."
    )
    endpoints: Many[Endpoint] = Field((), description="Who may tell of changes; none: nobody.")
    subscriptions: Many[Subscription] = Field(
        (), description="Events that are fetched from NATS instead (zot can publish its own there)."
    )
