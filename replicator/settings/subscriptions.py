"""Settings of subscriptions: events that are not delivered to the daemon but fetched by it, from NATS."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from replicator.errors import SettingsError
from replicator.settings import addresses
from replicator.settings.addresses import INNER_HOST_PORT
from replicator.settings.extras import need_extra
from replicator.settings.fields import EndpointName, Size, refuse
from replicator.settings.files import FilePath, OneOrMany, Word
from replicator.settings.logins import TokenLogin
from replicator.settings.nats_creds import read_creds
from replicator.settings.registries import Tls
from replicator.settings.section import Section
from replicator.settings.senders import Described, Format, Hosts, max_body

AUTO = "auto"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_TOKEN = r"(?:[!-)+,/-=?-~-]+|\*)"  # noqa: S105 -- a token of a subject, as NATS calls it
_SUBJECT = re.compile(rf"(?:{_TOKEN}\.){{0,31}}(?:{_TOKEN}|>)")
_SUBJECT_LONGEST = 256
_ADDRESS = "write nats://HOST:PORT or tls://HOST:PORT"


def _url(value: Any) -> Any:
    """Return the address of a server as it is. Never shows it: it may hold a password."""
    if not isinstance(value, str):
        return value
    parts = addresses.split(value)
    if parts is None:
        refuse("is not an address of NATS", _ADDRESS)
    if parts.scheme not in {"nats", "tls"}:
        refuse("does not start with nats:// or tls://", _ADDRESS)
    if "@" in parts.netloc:
        refuse("holds a user name, password or token", "write them under credentials:, what is secret in a file")
    if addresses.holds_more(parts, value) or not addresses.names_server(parts, INNER_HOST_PORT):
        refuse("is not an address of NATS", _ADDRESS)
    return addresses.written(parts)


def _subject(value: Any) -> Any:
    if isinstance(value, str) and (len(value) > _SUBJECT_LONGEST or not _SUBJECT.fullmatch(value)):
        refuse("is not a subject of NATS", "write words with dots between them, as in zot.events; * and > as in NATS")
    return value


def _name(value: Any) -> Any:
    if isinstance(value, str) and not _NAME.fullmatch(value):
        refuse("is not a name", "write letters, digits, dashes and underscores, at most 128")
    return value


def _creds_file(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Path) and info.context is not None:
        try:
            read_creds(value)
        except SettingsError as error:
            refuse(str(error), "write the path of the .creds file that NATS made for this user")
    return value


NatsUrl = Annotated[
    str,
    BeforeValidator(_url),
    WithJsonSchema({"type": "string", "title": "URL", "pattern": "^(nats|tls)://[^/?#@]+/?$"}),
]
"""Address of a server of NATS."""
Subject = Annotated[str, BeforeValidator(_subject), WithJsonSchema({"type": "string", "title": "subject"})]
JetStreamName = Annotated[
    str,
    BeforeValidator(_name),
    WithJsonSchema({"type": "string", "title": "name", "pattern": f"^(?:{_NAME.pattern})$"}),
]
"""Name of a stream or a consumer."""


class NatsCredentials(TokenLogin):
    """One way to log in to NATS."""

    creds_file: Annotated[FilePath, AfterValidator(_creds_file)] | None = Field(
        None, description="The `.creds` file of a user, with its token and the seed of its key."
    )


class Subscription(Section):
    """Events that a sender publishes over NATS. Needs the extra `nats`."""

    name: EndpointName = Field(description="Label in metrics and logs, beside those of endpoints.", examples=["zot"])
    url: Annotated[tuple[NatsUrl, ...], Field(min_length=1), OneOrMany()] = Field(
        description="Server of NATS, or a list of the servers of a cluster; no other is ever contacted.",
        examples=["nats://nats.example.com:4222"],
    )
    subject: Subject = Field(description="What to subscribe to.", examples=["zot.events"])
    stream: Annotated[JetStreamName | None, Word("none")] = Field(
        AUTO,
        description="Stream of JetStream that keeps the subject. `auto`: the one that does, plain NATS where there "
        "is none; `none`: plain NATS. Without a stream, what is published while the daemon is away is lost.",
    )
    durable: JetStreamName = Field(
        "replicator",
        description="Durable consumer in that stream, made where it is missing. Daemons with stores of their own "
        "need one each.",
    )
    format: Format = Field("zot", description="Whose events these are, as for endpoints.")
    generic: Described = None
    hosts: Hosts = ()
    max_body: Size = max_body()
    credentials: NatsCredentials | None = Field(None, description="How to log in; absent: not at all.")
    tls: Tls | None = Field(
        None, description="TLS where the system's trust is not enough; as with `tls://`, nothing goes in the clear."
    )

    @property
    def encrypted(self) -> bool:
        """Whether a connection without TLS is refused."""
        return self.tls is not None or any(url.startswith("tls:") for url in self.url)

    @model_validator(mode="after")
    def _can_be_used(self, info: ValidationInfo) -> "Subscription":
        if info.context is not None:
            need_extra("nats")
        return self
