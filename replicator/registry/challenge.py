"""`WWW-Authenticate` -> challenges (RFC 9110 11.6.1), tolerant of what registries really send (A1). Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 -- a token of the HTTP grammar
_SEPARATORS = re.compile(r"[\s,]*+")
_SCHEME = re.compile(rf"({_TOKEN})(?=[\s,]|$)")
_PARAMETER = re.compile(rf'[\s,]*+({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s,"]*))(?=[\s,]|$)', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_MOST = 16


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in: the `scheme` in lower case, parameter names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def parse(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Return every challenge of every header, in order; what cannot be understood is passed over."""
    found: list[Challenge] = []
    for header in headers:
        position = _start(header, 0)
        while position < len(header) and len(found) < _MOST:
            match = _SCHEME.match(header, position)
            if match is not None:
                parameters, position = _parameters(header, match.end())
                found.append(Challenge(match[1].lower(), parameters))
            else:
                comma = header.find(",", position)
                position = comma if comma >= 0 else len(header)
            position = _start(header, position)
    return tuple(found)


def choose(challenges: Iterable[Challenge]) -> Challenge | None:
    """Return the challenge to answer: Bearer with a realm before Basic; None when there is neither."""
    basic = None
    for challenge in challenges:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
        if challenge.scheme == "basic" and basic is None:
            basic = challenge
    return basic


def _start(header: str, position: int) -> int:
    match = _SEPARATORS.match(header, position)
    return position if match is None else match.end()


def _parameters(header: str, position: int) -> tuple[Mapping[str, str], int]:
    parameters: dict[str, str] = {}
    while (match := _PARAMETER.match(header, position)) is not None:
        quoted = match[2]
        value = match[3] if quoted is None else _ESCAPE.sub(r"\1", quoted)
        if value.isprintable():  # what is not text comes as half of a surrogate pair, and can go nowhere
            parameters.setdefault(match[1].lower(), value)
        position = match.end()
    return MappingProxyType(parameters), position
