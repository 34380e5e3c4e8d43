"""How text from outside, numbers of things, and lengths of time are shown to people."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def printable(text: str) -> str:
    """Return `text` on one line, with a question mark for each character that is not plainly printable."""
    return "".join(character if character.isprintable() else "?" for character in text)


def counted(count: int, one: str, many: str = "") -> str:
    """Return so many of something: `1 tag`, `2 tags`; `many` where the plural is not `one` with an s."""
    return f"1 {one}" if count == 1 else f"{count} {many or one + 's'}"


def seconds_text(seconds: float) -> str:
    """Return a length of time in two units at most: `0.4s`, `3m12s`, `2h05m`, `1d03h`."""
    if seconds < _MINUTE:
        return "0s" if seconds == 0 else f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"
