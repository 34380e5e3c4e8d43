"""The JSON Schema describes what people write, so that an editor agrees with `config check`."""

import json
from pathlib import Path
from typing import Any

import pytest

from replicator.settings.document import read_document
from replicator.settings.json_schema import json_schema
from tests.unit.settings.files import BASE
from tests.unit.settings.json_schema_judge import objections
from tests.unit.settings.test_unsupported import FUTURE

CONFIG = Path(__file__).parents[3] / "config"


def refused(text: str) -> list[str]:
    return objections(json_schema(), read_document(text.encode()).data)


@pytest.mark.parametrize("name", ["replicator.minimal.yaml", "replicator.example.yaml"])
def test_the_files_under_config_are_valid(name: str) -> None:
    assert refused((CONFIG / name).read_text()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("retry: {first: 1}", ".retry.first: type"),
        ("retry: {first: 1sec}", ".retry.first: pattern"),
        ("retries: {}", ".retries: additionalProperties"),
        ("webhooks: {endpoints: [{path: /a}]}", ".webhooks.endpoints[0]: required"),
        ("webhooks: {endpoints: [{path: /a, auth: nobody}]}", ".webhooks.endpoints[0].auth: anyOf"),
        ("rules: [{tags: []}]", ".rules[0].tags: minItems"),
        ("rules: [{priority: urgent}]", ".rules[0].priority: enum"),
        ("objective: {percent: 101}", ".objective.percent: maximum"),
        ("admin: {token: x}", ".admin.token: additionalProperties"),
        ("store: {url: mysql://x}", ".store.url: pattern"),
        ("deletes: {grace: 1}", ".deletes.grace: type"),
        ("sweep: {every: 1 h}", ".sweep: anyOf"),
    ],
)
def test_what_config_check_refuses_is_refused(line: str, expected: str) -> None:
    assert refused(BASE + line) == [expected]


@pytest.mark.parametrize("line", ["sweep: off", 'sweep: "off"', "notify: []", "rules: [{platforms: all}]"])
def test_off_values_are_valid(line: str) -> None:
    assert refused(BASE + line) == []


def test_everything_not_supported_yet_is_refused() -> None:
    assert sorted(objections(json_schema(), FUTURE)) == [
        ".replicas[1].source: enum",
    ]


def described(part: Any) -> list[Any]:
    """Return the description of each key in the schema."""
    if isinstance(part, list):
        return [text for item in part for text in described(item)]
    if not isinstance(part, dict):
        return []
    own = [below.get("description", below.get("$ref")) for below in part.get("properties", {}).values()]
    return own + [text for below in part.values() for text in described(below)]


def test_every_key_is_described_and_the_schema_is_plain_json() -> None:
    schema = json_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert len(described(schema)) > 80
    assert all(described(schema))


def test_defaults_have_the_form_in_which_people_write_them() -> None:
    schema = json_schema()
    defaults = {key: part.get("default") for key, part in schema["$defs"]["Retry"]["properties"].items()}
    assert defaults == {"first": "1s", "max": "5m", "park_after": "1d"}
    assert schema["$defs"]["Endpoint"]["properties"]["max_body"]["default"] == "8MiB"
    assert schema["$defs"]["Webhooks"]["properties"]["listen"]["default"] == "0.0.0.0:8080"
    assert schema["$defs"]["Sweep"]["properties"]["every"]["default"] == "1h"
