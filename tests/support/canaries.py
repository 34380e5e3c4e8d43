"""Secrets of the tests all hold this word, so that one that got out is found in any output."""

import base64

WORD = "canary"
_ENCODED = tuple(
    # Of each alignment, the characters that depend on the word alone.
    base64.b64encode(b"x" * before + WORD.encode()).decode()[first : (before + len(WORD)) * 8 // 6]
    for before, first in ((0, 0), (1, 2), (2, 3))
)
_JSON_WEB_TOKEN = "eyJ"
_FORMS = (WORD, *_ENCODED, _JSON_WEB_TOKEN)


def leaks(output: str) -> list[str]:
    """Return the lines of some output that hold a secret, as it is or in base64, or a token of the token server."""
    return [line for line in output.splitlines() if any(form in line for form in _FORMS)]
