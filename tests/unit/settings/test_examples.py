"""The two files under config/ load, and the long one shows every key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replicator.settings.document import read_document
from replicator.settings.json_schema import json_schema, resolve
from replicator.settings.load import load
from replicator.settings.unsupported import ROWS
from tests.support.nats_users import creds_text
from tests.unit.settings.files import mistakes

CONFIG = Path(__file__).parents[3] / "config"
EXAMPLE = (CONFIG / "replicator.example.yaml").read_text()
MARK = "#+ "
"""Stands before the keys that are not supported yet."""
KEY = f"whsec_{'A' * 32}"
CONTENTS = {".json": "{}\n", ".creds": creds_text("token", f"SU{'A' * 56}"), ".whsec": KEY}
ENVIRON = {"EU_REGISTRY_TOKEN": "x", "HOOK_TOKEN": "x", "NOTIFY_SECRET": KEY}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return a directory with the files that the example names."""
    for name in re.findall(r"\b(?:secrets|tls)/[\w.-]+", EXAMPLE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        # Base64, as one of them has to be.
        (tmp_path / name).write_text(CONTENTS.get(Path(name).suffix, "eHh4\n"))
    return tmp_path


def test_the_minimal_file_loads() -> None:
    settings = load(CONFIG / "replicator.minimal.yaml", {"REPLICATOR_WEBHOOK_TOKEN": "x"})
    assert [replica.name for replica in settings.replicas] == ["eu-west"]
    assert [endpoint.name for endpoint in settings.webhooks.endpoints] == ["primary"]


@pytest.mark.parametrize("key", ["version", "primary", "replicas", "webhooks"])
def test_the_minimal_file_is_minimal(tmp_path: Path, key: str) -> None:
    """Without any of its parts it either fails or no webhook is taken."""
    text = (CONFIG / "replicator.minimal.yaml").read_text()
    without = re.sub(rf"^{key}:.*\n(?:[ ].*\n)*", "", text, flags=re.MULTILINE)
    file = tmp_path / "replicator.yaml"
    file.write_text(without)
    if key == "webhooks":
        assert load(file, {}).webhooks.endpoints == ()
    else:
        assert mistakes(tmp_path, without, REPLICATOR_WEBHOOK_TOKEN="x")[0].split(": ")[1] == key


def test_the_example_loads(directory: Path) -> None:
    (directory / "replicator.yaml").write_text(EXAMPLE)
    settings = load(directory / "replicator.yaml", ENVIRON)
    assert [replica.name for replica in settings.replicas] == [
        "eu-west",
        "us-east",
        "ap-south",
        "westeurope",
        "northeurope",
        "frankfurt",
        "belgium",
    ]
    names = "primary basic header query signed signed-sha1 standard other token sns lab"
    assert [endpoint.name for endpoint in settings.webhooks.endpoints] == names.split()
    assert [subscription.name for subscription in settings.webhooks.subscriptions] == ["zot", "zot-lab"]
    assert [receiver.name for receiver in settings.notify] == ["deploy", "chat.example.com"]


def marked() -> Iterator[tuple[str, str]]:
    """Yield each marked line's key, and the example in which that line counts instead of the one before it."""
    lines = EXAMPLE.splitlines()
    for number, line in enumerate(lines):
        if line.lstrip().startswith(MARK):
            active = line.replace(MARK, "", 1)
            key = active.split(":")[0]
            before = lines[:number]
            if before[-1].startswith(f"{key}:"):
                before.pop()
            yield key.strip(), "\n".join([*before, active, *lines[number + 1 :]])


@pytest.mark.parametrize(("key", "text"), list(marked()), ids=lambda value: value if len(value) < 30 else "")
def test_each_marked_line_is_a_key_not_supported_yet(directory: Path, key: str, text: str) -> None:
    found = mistakes(directory, text, **ENVIRON)
    assert any(re.search(rf"\b{key}: .*not supported yet", line) for line in found)


def paths(data: Any, path: str = "") -> Iterator[str]:
    """Yield the key paths in a file's data, as the schema has them."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from paths(value, f"{path}.{key}".lstrip("."))
            yield f"{path}.{key}".lstrip(".")
    for item in data if isinstance(data, list) else ():
        yield from paths(item, f"{path}[]")


def schema_paths(schema: dict[str, Any], part: dict[str, Any], path: str = "") -> Iterator[str]:
    part = resolve(schema, part)
    for choice in part.get("anyOf", ()):
        yield from schema_paths(schema, choice, path)
    if "items" in part:
        yield from schema_paths(schema, part["items"], f"{path}[]")
    for key, below in part.get("properties", {}).items():
        yield f"{path}.{key}".lstrip(".")
        yield from schema_paths(schema, below, f"{path}.{key}".lstrip("."))


def any_registry(path: str) -> str:
    return path.replace("replicas[].", "primary.")


def test_the_example_shows_every_key() -> None:
    texts = [EXAMPLE, *(text for _, text in marked())]
    shown = {any_registry(path) for text in texts for path in paths(read_document(text.encode()).data)}
    schema = json_schema()
    known = {any_registry(path) for path in schema_paths(schema, schema)}
    # Of a secret one form is used and the other one told beside it.
    assert {path for path in known - shown if not re.search(rf"\b{path.rpartition('.')[2]}\b", EXAMPLE)} == set()


def test_every_row_that_waits_for_its_feature_is_in_the_example(directory: Path) -> None:
    told = "\n".join(line for _, text in marked() for line in mistakes(directory, text, **ENVIRON))
    refused = {
        any_registry(re.sub(r"\[\d+\]", "[]", path)) for path in re.findall(r"\d+: (\S+): .*not supported", told)
    }
    assert {any_registry(row.path) for row in ROWS} == refused
