"""The types of single values: each turns what YAML holds into what the daemon uses, and says what would be right.

In code (no validation context) the finished value is taken as well: `Retry(first=0.5)`. JSON Schema and
`config show` see the form that people write.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

from pydantic import BeforeValidator, InstanceOf, PlainSerializer, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from replicator.errors import NameInvalid
from replicator.model import parse_repository, shown
from replicator.settings import addresses, units
from replicator.settings.addresses import HOST_PORT, MAX_PORT
from replicator.settings.patterns import compile_pattern
from replicator.settings.places import NOWHERE, Places

T = TypeVar("T")

_PLAIN_PATH = re.compile(r"/(?:[A-Za-z0-9._~-]+(?:/[A-Za-z0-9._~-]+)*)?")
_REPLICA_NAME = re.compile(r"[a-z0-9-]{1,63}")
_ENDPOINT_NAME = re.compile(r"[A-Za-z0-9._~-]{1,63}")
_LABEL_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_QUERY_NAME = re.compile(r"[A-Za-z0-9._~-]{1,64}")
_USER_NAME = re.compile(r"[^:\x00-\x1f\x7f]+")
_POST_URL = re.compile(r"https?://[^/?#@\s]+(?:/[^?#@\s]*)?")
_HTTPS_URL = re.compile(r"https://[^/?#@\s]+(?:/[^?#@\s]*)?")
_TOPIC = re.compile(r"arn:aws[a-z-]{0,16}:sns:[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a file's values are read against: its directory, for relative paths, and the environment."""

    directory: Path
    environ: Mapping[str, str]
    places: Places = NOWHERE


def refuse(wrong: str, right: str) -> NoReturn:
    """Give up on a value: what is wrong with it, what would be right."""
    raise PydanticCustomError("mistake", "{wrong}; {right}", {"wrong": wrong, "right": right})


def _in_code(info: ValidationInfo) -> bool:
    return info.context is None


def _unit(parse: Callable[[str], float], right: str) -> BeforeValidator:
    def read(value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str):
            try:
                return parse(value)
            except ValueError:
                refuse(f"{shown(value, 40)} is not understood", right)
        if isinstance(value, bool) or not isinstance(value, int | float):
            refuse("is not text", right)
        if not _in_code(info):
            refuse("has no unit", right)
        return value

    return BeforeValidator(read)


def _text(check: Callable[[str], str]) -> BeforeValidator:
    """Run `check` on text; what is not text is left for the type itself to refuse."""
    return BeforeValidator(lambda value: check(value) if isinstance(value, str) else value)


def _schema(title: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "title": title, **more})


def _matching(regex: re.Pattern[str], wrong: str, right: str) -> BeforeValidator:
    """Refuse text that does not match as a whole. The text itself is not shown: it may be a secret gone astray."""

    def check(text: str) -> str:
        if not regex.fullmatch(text):
            refuse(wrong, right)
        return text

    return _text(check)


def _anchored(regex: re.Pattern[str]) -> str:
    return f"^(?:{regex.pattern})$"


def _url(text: str) -> str:
    """Return the URL of a registry as scheme and host. Never shows it: it may hold a password."""
    parts = addresses.split(text)
    if parts is None:
        refuse("is not a URL", "write https://HOST or https://HOST:PORT")
    if parts.scheme not in {"http", "https"}:
        refuse("does not start with https:// or http://", "write https://HOST or https://HOST:PORT")
    if "@" in parts.netloc:
        refuse("holds a user name or password", "write them under credentials:, the password in a file")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        refuse("holds a query or fragment", "write only https://HOST or https://HOST:PORT")
    if parts.path not in {"", "/"}:
        refuse(
            "holds a path", "write only https://HOST or https://HOST:PORT; repository_prefix: puts names below a path"
        )
    if not addresses.names_server(parts, HOST_PORT):
        refuse("names no valid host", "write https://HOST or https://HOST:PORT")
    return addresses.written(parts)


def _host(text: str) -> str:
    match = HOST_PORT.fullmatch(text)
    if not match or int(match[2] or 1) > MAX_PORT:
        refuse("is not a host", "write HOST or HOST:PORT, without https:// and without a path")
    return text.lower()


def _prefix(text: str) -> str:
    if not text:
        return text
    try:
        parse_repository(f"{text}a")
    except NameInvalid:
        refuse(
            f"{shown(text, 40)} does not begin a repository name", "write lower-case words and slashes, as in mirror/"
        )
    if not text.endswith("/"):
        refuse(f"{shown(text, 40)} does not end with a slash", f"write {text}/")
    return text


def _pattern(*, versions: bool) -> BeforeValidator:
    def check(text: str) -> str:
        try:
            compile_pattern(text, versions=versions)
        except ValueError as error:
            refuse(
                f"{shown(text, 60)} is not a pattern: {error}", "see the pattern language in docs/configuration.md"
            )
        return text

    return _text(check)


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where a server listens. Port 0 lets the system choose (tests)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _listen(value: Any) -> Any:
    if isinstance(value, ListenAddress):
        return value
    match = HOST_PORT.fullmatch(value) if isinstance(value, str) else None
    if not match or match[2] is None or int(match[2]) > MAX_PORT:
        refuse("is not an address to listen on", "write HOST:PORT, as in 0.0.0.0:8080")
    return ListenAddress(match[1].strip("[]"), int(match[2]))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


_DURATION = "write a whole number and ms, s, m, h or d, as in 30s"
_SIZE = "write a whole number and KiB, MiB or GiB, as in 8MiB"
_RATE = "write a size and /s, as in 50MiB/s"
_FREQUENCY = "write a whole number and /s, /m or /h, as in 10/s"

Duration = Annotated[
    float,
    _unit(units.parse_duration, _DURATION),
    PlainSerializer(units.format_duration),
    _schema("duration", pattern="^[0-9]{1,9}(ms|s|m|h|d)$"),
]
"""Seconds; written as `30s`."""
Size = Annotated[
    int,
    _unit(units.parse_size, _SIZE),
    PlainSerializer(units.format_size),
    _schema("size", pattern="^[0-9]{1,9}(B|KiB|MiB|GiB)$"),
]
"""Bytes; written as `8MiB`."""
Rate = Annotated[
    int,
    _unit(units.parse_rate, _RATE),
    PlainSerializer(units.format_rate),
    _schema("rate", pattern="^[0-9]{1,9}(B|KiB|MiB|GiB)/s$"),
]
"""Bytes per second; written as `50MiB/s`."""
Frequency = Annotated[
    float,
    _unit(units.parse_frequency, _FREQUENCY),
    PlainSerializer(units.format_frequency),
    _schema("frequency", pattern="^0*[1-9][0-9]{0,8}/[smh]$"),
]
"""How often a second; written as `10/s`."""
Url = Annotated[str, _text(_url), _schema("URL", pattern="^https?://[^/?#@]+/?$")]
"""Scheme and host of a registry, without a slash at the end."""
Host = Annotated[str, _text(_host), _schema("host", pattern=_anchored(HOST_PORT))]
"""`host` or `host:port`, lower case."""
ReplicaName = Annotated[
    str,
    _matching(_REPLICA_NAME, "is not a name", "write lower-case letters, digits and dashes, at most 63"),
    _schema("name", pattern=_anchored(_REPLICA_NAME)),
]
"""The name of a replica."""
EndpointName = Annotated[
    str,
    _matching(_ENDPOINT_NAME, "is not a name", "write letters, digits, dots, dashes and underscores, at most 63"),
    _schema("name", pattern=_anchored(_ENDPOINT_NAME)),
]
"""The name of a webhook endpoint."""
LabelName = Annotated[
    str, _matching(_LABEL_NAME, "is not a label name", "write lower-case letters, digits, _ and -, a letter first")
]
UserName = Annotated[
    str,
    _matching(_USER_NAME, "is not a user name", "write text without a colon"),
    _schema("text", pattern="^[^:]+$"),
]
PostUrl = Annotated[
    str,
    _matching(_POST_URL, "is not a URL to post to", "write https://HOST/PATH, without ? and without a password"),
    _schema("URL", pattern=_anchored(_POST_URL)),
]
HttpsUrl = Annotated[
    str,
    _matching(_HTTPS_URL, "is not an address by HTTPS", "write https://HOST/PATH, without ? and without a password"),
    _schema("URL", pattern=_anchored(_HTTPS_URL)),
]
TopicArn = Annotated[
    str,
    _matching(_TOPIC, "is not the ARN of a topic", "write arn:aws:sns:REGION:ACCOUNT:NAME"),
    _schema("ARN", pattern=_anchored(_TOPIC)),
]
HeaderName = Annotated[
    str,
    _matching(_HEADER_NAME, "is not the name of an HTTP header", "write a name, as in X-Hook-Token"),
    _schema("header", pattern=_anchored(_HEADER_NAME)),
]
QueryName = Annotated[
    str,
    _matching(_QUERY_NAME, "is not the name of a query parameter", "write a name, as in token"),
    _schema("name", pattern=_anchored(_QUERY_NAME)),
]
EndpointPath = Annotated[
    str,
    _matching(_PLAIN_PATH, "is not the path of a URL", "write a path, as in /webhooks/primary, without ? or #"),
    _schema("path", pattern=_anchored(_PLAIN_PATH)),
]
Prefix = Annotated[str, _text(_prefix), _schema("prefix")]
RepositoryPattern = Annotated[str, _pattern(versions=False), _schema("pattern")]
TagPattern = Annotated[str, _pattern(versions=True), _schema("pattern")]
PlatformName = Annotated[
    str,
    _matching(
        _PLATFORM, "is not a platform", "write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, as in linux/arm64/v8"
    ),
    _schema("platform", pattern=_anchored(_PLATFORM)),
]
Listen = Annotated[
    InstanceOf[ListenAddress],
    BeforeValidator(_listen),
    PlainSerializer(str),
    _schema("address", pattern=r"^.+:[0-9]{1,5}$"),
]
Many = Annotated[tuple[T, ...], BeforeValidator(_tuple)]
"""A list in YAML, a tuple in the settings."""
