"""Durations, sizes, rates and frequencies as people write them: `30s`, `8MiB`, `50MiB/s`, `10/s`.

Parsing and formatting are each other's inverse for every value that can be written.
"""

import re

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}
_SIZE = re.compile(r"([0-9]{1,9})(B|KiB|MiB|GiB)")
_FREQUENCY = re.compile(r"([0-9]{1,9})/([smh])")
_BYTES = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}


def parse_duration(text: str) -> float:
    """Return the seconds that `text` says: a whole number and one of ms, s, m, h, d. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError("not a duration")
    number, unit = match.groups()
    return int(number) / 1000 if unit == "ms" else int(number) * _SECONDS[unit]


def format_duration(seconds: float) -> str:
    """Return `seconds` in the largest unit that says it in whole numbers; below a millisecond is rounded."""
    milliseconds = round(seconds * 1000)
    for unit, worth in _SECONDS.items():
        number, rest = divmod(milliseconds, round(worth * 1000))
        if rest == 0 and (number or unit == "s"):
            return f"{number}{unit}"
    return f"{milliseconds}ms"


def parse_size(text: str) -> int:
    """Return the bytes that `text` says: a whole number and one of B, KiB, MiB, GiB. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise ValueError("not a size")
    number, unit = match.groups()
    return int(number) * _BYTES.get(unit, 1)


def format_size(size: int) -> str:
    """Return `size` bytes in the largest unit that says it in whole numbers."""
    for unit, worth in _BYTES.items():
        if size and size % worth == 0:
            return f"{size // worth}{unit}"
    return f"{size}B"


def parse_rate(text: str) -> int:
    """Return the bytes per second that `text` says: a size and `/s`. Raises ValueError."""
    if not text.endswith("/s"):
        raise ValueError("not a rate")
    return parse_size(text.removesuffix("/s"))


def format_rate(rate: int) -> str:
    """Return `rate` bytes per second as a size and `/s`."""
    return f"{format_size(rate)}/s"


def parse_frequency(text: str) -> float:
    """Return how often a second `text` says: a whole number above 0 and `/s`, `/m` or `/h`. Raises ValueError."""
    match = _FREQUENCY.fullmatch(text)
    if not match or not int(match[1]):
        raise ValueError("not a frequency")
    return int(match[1]) / _SECONDS[match[2]]


def format_frequency(often: float) -> str:
    """Return `often` a second in the unit that says it in whole numbers, else per hour."""
    for unit in ("s", "m"):
        number = often * _SECONDS[unit]
        if abs(number - round(number)) < 1e-6 * number:
            return f"{round(number)}/{unit}"
    return f"{round(often * _SECONDS['h'])}/h"
