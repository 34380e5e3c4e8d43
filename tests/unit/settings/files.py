"""Configuration files for the tests of the settings: the least that is valid, and changes to it."""

from pathlib import Path

import pytest

from replicator.errors import SettingsError
from replicator.settings.load import load
from replicator.settings.schema import Settings

BASE = """\
version: 1
primary: {url: https://registry.example.com}
replicas:
  - {name: eu-west, url: https://eu.example.com}
"""
"""Four lines: what a test adds begins on line 5."""


def but(old: str, new: str) -> str:
    """Return the least valid file with `old` replaced."""
    assert old in BASE
    return BASE.replace(old, new)


def settings(directory: Path, text: str, **environ: str) -> Settings:
    """Load `text` as a file in `directory`."""
    file = directory / "replicator.yaml"
    file.write_text(text)
    return load(file, environ)


def mistakes(directory: Path, text: str, **environ: str) -> list[str]:
    """Load `text`, which must fail, and return the lines of the message without the file's name."""
    with pytest.raises(SettingsError) as caught:
        settings(directory, text, **environ)
    start = f"{directory / 'replicator.yaml'}:"
    lines = str(caught.value).splitlines()
    assert all(line.startswith(start) for line in lines)
    return [line.removeprefix(start) for line in lines]
