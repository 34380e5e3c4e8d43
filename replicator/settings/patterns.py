"""The pattern language of rules: globs, `semver:`, `regex:`, each with an optional leading `!`.

Globs: `*` stands for anything but a slash, `**` for anything, `?` for one character but a slash; `a/**` is all below
`a`, `**/b` is `b` at any depth. `semver:` takes the ranges of node-semver and holds for tags that are full versions,
with or without a leading `v`. `regex:` must match the whole name.
"""

import re
from collections.abc import Callable, Iterable

from semantic_version import NpmSpec, Version  # type: ignore[import-untyped]  # the package ships no types

Matcher = Callable[[str], object]
"""Says by truth whether a name matches."""

_GLOB_TEXT = re.compile(r"[A-Za-z0-9._/:-]+")
_GLOB_PART = re.compile(r"(?<![^/])\*\*/|/\*\*$|\*\*|\*|\?|(?:[^*?/]|/(?!\*\*$))+")
_GLOB_REGEX = {"**/": "(?:.*/)?", "/**": "/.+", "**": ".*", "*": "[^/]*", "?": "[^/]"}


class Patterns:
    """A list of patterns. Raises ValueError, with a message for people, for a pattern that cannot be understood.

    A name matches when any positive pattern does and no negative one does; only negatives are all but those.
    """

    def __init__(self, texts: Iterable[str], *, versions: bool) -> None:
        """Compile `texts`; `versions` says that these are patterns of tags, where `semver:` makes sense."""
        compiled = [(text.startswith("!"), compile_pattern(text, versions=versions)) for text in texts]
        self._positive = tuple(matcher for negative, matcher in compiled if not negative)
        self._negative = tuple(matcher for negative, matcher in compiled if negative)

    def match(self, name: str) -> bool:
        """Say whether the list lets `name` through."""
        for matcher in self._negative:
            if matcher(name):
                return False
        for matcher in self._positive:
            if matcher(name):
                return True
        return not self._positive


def compile_pattern(text: str, *, versions: bool) -> Matcher:
    """Return what decides whether a name matches one pattern; its `!` is not looked at. Raises ValueError."""
    body = text.removeprefix("!")
    if body.startswith("semver:"):
        if not versions:
            raise ValueError("semver: is for tags")
        return _semver(body.removeprefix("semver:"))
    if body.startswith("regex:"):
        return _regex(body.removeprefix("regex:"))
    return _glob(body)


def _glob(text: str) -> Matcher:
    parts = _GLOB_PART.findall(text)
    if not parts:
        raise ValueError("a pattern cannot be empty")
    regex = ""
    for part in parts:
        if part not in _GLOB_REGEX and not _GLOB_TEXT.fullmatch(part):
            raise ValueError("a glob holds letters, digits, . _ - / and the wildcards * ** ?")
        regex += _GLOB_REGEX.get(part) or re.escape(part)
    return re.compile(regex).fullmatch


def _regex(text: str) -> Matcher:
    try:
        return re.compile(text).fullmatch
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression ({error})") from error


def _semver(text: str) -> Matcher:
    if not text.strip():
        raise ValueError("not a range of versions")
    try:
        spec = NpmSpec(text)
    except ValueError as error:
        raise ValueError("not a range of versions") from error

    def matches(tag: str) -> bool:
        try:
            return bool(spec.match(Version(tag.removeprefix("v"))))
        except ValueError:
            return False

    return matches
