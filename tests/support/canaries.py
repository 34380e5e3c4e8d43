"""Secrets of the tests all hold this word, so that one that got out is found in any output."""

WORD = "canary"


def leaks(output: str) -> list[str]:
    """Return the lines of some output that hold a secret."""
    return [line for line in output.splitlines() if WORD in line]
