"""Settings of the HTTP proxy on the way to a registry. The environment's own are read elsewhere."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import (
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from replicator.settings import addresses
from replicator.settings.addresses import INNER_HOST_PORT
from replicator.settings.fields import Many, refuse
from replicator.settings.files import FilePath
from replicator.settings.logins import PasswordLogin

ENVIRONMENT: Final = "environment"
"""The word for: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say."""
_OFF: Final = "off"
_ALSO_OFF: Final = (False, "none")
_WRITE: Final = "write http://HOST:PORT"
_EXCEPTION: Final = re.compile(
    r"\.?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?"
)


def _proxy_url(value: Any) -> Any:
    """Return scheme, host and port. Never shows what was written: it may hold a password."""
    if not isinstance(value, str):
        return value
    parts = addresses.split(value)
    if parts is None:
        refuse("is not a URL", _WRITE)
    if "@" in value:
        refuse("holds a user name or password", "write them beside url: as username: and password_file:")
    if parts.scheme not in {"http", "https"}:
        refuse("is not the URL of an HTTP proxy", f"{_WRITE}, or https:// for one that is spoken to by TLS")
    if addresses.holds_more(parts, value):
        refuse("holds more than a host and a port", _WRITE)
    if not addresses.names_server(parts, INNER_HOST_PORT):
        refuse("names no valid host", _WRITE)
    return addresses.written(parts)


def _exception(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        if not _EXCEPTION.fullmatch(value):
            refuse("is no host", "write HOST, .DOMAIN, HOST:PORT, an address, or a network as in 10.0.0.0/8")
    return value.lower()


ProxyUrl = Annotated[
    str,
    BeforeValidator(_proxy_url),
    WithJsonSchema({"type": "string", "title": "URL", "pattern": "^https?://[^/?#@]+/?$"}),
]
"""Scheme, host and port of a proxy, without a slash at the end."""
Exempt = Annotated[str, BeforeValidator(_exception), WithJsonSchema({"type": "string", "title": "host"})]
"""What is reached without the proxy: a host with all below it, perhaps with a port, an address or a network."""


class ProxySettings(PasswordLogin):
    """One HTTP proxy. Without `url`: none, whatever the environment says."""

    url: ProxyUrl | None = Field(
        description="Where the proxy is; `https://` where it is itself spoken to by TLS.",
        examples=["http://proxy.example.com:3128"],
    )
    ca_file: FilePath | None = Field(
        None, description="Certificates to trust for an `https://` proxy instead of the system's, PEM."
    )
    no_proxy: Many[Exempt] = Field(
        (),
        description="What is reached without it: `host` (and all below it), `host:port`, an address, or a network "
        "as `10.0.0.0/8`.",
    )

    @model_validator(mode="after")
    def _is_whole(self) -> "ProxySettings":
        if self.password_file is not None and self.password_env is not None:
            refuse("has two passwords", "write password_file: or password_env:")
        if (self.username is None) != (self.password is None):
            refuse("has a user name or a password without the other", "write username: and password_file: PATH")
        if self.ca_file is not None and not (self.url or "").startswith("https:"):
            refuse(
                "has a ca_file for a proxy that is not spoken to by TLS", "write https:// in url, or remove ca_file"
            )
        return self


@dataclass(frozen=True, slots=True)
class _Forms:
    """A URL alone, a mapping, `off`, or `environment`, which is None in the settings."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read each form, and write the shortest that says the same."""
        return core_schema.no_info_before_validator_function(
            self._read, handler(source), serialization=core_schema.wrap_serializer_function_ser_schema(self._write)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Offer all forms."""
        words = [{"const": word} for word in (ENVIRONMENT, _OFF, *_ALSO_OFF)]
        return {
            "anyOf": [*words, {"type": "string", "title": "URL", "pattern": "^https?://[^/?#@]+/?$"}, handler(schema)]
        }

    @staticmethod
    def _read(value: Any) -> Any:
        if value is None or value == ENVIRONMENT:
            return None
        if value == _OFF or any(
            value is other or value == other for other in _ALSO_OFF if type(value) is type(other)
        ):
            return {"url": None}
        return {"url": value} if isinstance(value, str) else value

    @staticmethod
    def _write(value: ProxySettings | None, handler: core_schema.SerializerFunctionWrapHandler) -> Any:
        if value is None:
            return ENVIRONMENT
        if value.url is None:
            return _OFF
        written: Mapping[str, Any] = handler(value)
        said = {key: one for key, one in written.items() if one is not None and one != []}
        return value.url if said.keys() == {"url"} else said


ProxyChoice = Annotated[ProxySettings | None, _Forms()]
"""Which proxy leads to a registry; None: what the environment says."""
