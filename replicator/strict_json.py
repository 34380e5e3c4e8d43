"""JSON from outside, read so that no two readers can see different things in the same bytes (I-JSON, RFC 7493).

Pure. Whatever a registry, a token server or a webhook sends is read by this one function, after its size was capped.
"""

import json
import math
import re
from typing import Any

from replicator.errors import ReplicatorError
from replicator.model import shown

MAX_DEPTH = 64
_MAX_INTEGER_DIGITS = 400
_STRINGS_AND_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")


class Invalid(ReplicatorError):
    """The bytes are not JSON that may be trusted; the message says why and is safe to show."""


def loads(data: bytes, *, limit: int) -> object:
    """Return the value that `data` (UTF-8 JSON, at most `limit` bytes) holds.

    Raises Invalid for anything else, and for: duplicate keys, NaN and infinities, nesting deeper than MAX_DEPTH,
    integers of absurd length, lone surrogates.
    """
    if len(data) > limit:
        raise Invalid(f"JSON of {len(data)} bytes is over the limit of {limit}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(f"JSON is not UTF-8 at byte {error.start}") from error
    _check_depth(text)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Invalid(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    if _SURROGATE_ESCAPE.search(text):
        _check_surrogates(value)
    return value


def _check_depth(text: str) -> None:
    # A count of brackets is an upper bound of the depth, so the exact scan is only for larger documents.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRINGS_AND_BRACKETS.finditer(text):
        token = match.group()
        if token in {"[", "{"}:
            depth += 1
            if depth > MAX_DEPTH:
                raise Invalid(f"JSON is nested deeper than {MAX_DEPTH}")
        elif token in {"]", "}"}:
            depth -= 1


def _check_surrogates(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise Invalid("JSON holds half of a surrogate pair") from error


def _unique_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Invalid(f"JSON object has the key {shown(key)} twice")
            seen.add(key)
    return result


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise Invalid(f"JSON integer of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise Invalid("JSON number is too large")
    return value


def _refused(constant: str) -> float:
    raise Invalid(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_object, parse_int=_integer, parse_float=_finite, parse_constant=_refused
)
