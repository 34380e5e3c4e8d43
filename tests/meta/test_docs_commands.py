"""Every command with its options, every endpoint and every field of its answers is in the documents."""

import re

import click
import pytest

from replicator.admin import documents, explain_documents
from replicator.admin.openapi import DOCUMENT
from replicator.admin.wait import Verdict
from replicator.cli.invocation import Exit
from replicator.observability.labels import LaneState
from tests.meta.commands import commands
from tests.meta.tree import ROOT

OPERATIONS = (ROOT / "docs/operations.md").read_text()
API = (ROOT / "docs/http-api.md").read_text()


@pytest.mark.parametrize("name", commands())
def test_a_command_is_described_with_exactly_its_options(name: str) -> None:
    (shown,) = re.findall(rf"`{name}((?: [^`]*)?)`", OPERATIONS.split("Exit codes:", maxsplit=1)[0])
    options = {
        option
        for parameter in commands()[name].params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert set(re.findall(r"--[a-z]+(?:-[a-z]+)*", shown)) == options


def test_every_exit_code_is_described() -> None:
    (line,) = [line for line in OPERATIONS.splitlines() if line.startswith("Exit codes:")]
    assert {int(code) for code in re.findall(r"\b([0-9]) ", line)} == set(Exit)


def test_every_endpoint_is_described_and_no_other() -> None:
    described = set(re.findall(r"`(GET|POST) (/[a-z0-9/.{}]*)`", API))
    assert described == {(method.upper(), path) for path, found in DOCUMENT["paths"].items() for method in found}


@pytest.mark.parametrize(
    "document",
    [
        found
        for module in (documents, explain_documents)
        for found in vars(module).values()
        if isinstance(found, type) and hasattr(found, "__required_keys__")
    ],
    ids=lambda document: document.__name__,
)
def test_every_field_of_an_answer_is_described(document: type) -> None:
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", API))))
    assert set(document.__annotations__) - words == set()


def test_every_verdict_of_a_wait_is_described() -> None:
    assert [verdict for verdict in Verdict if verdict is not Verdict.COMPLETE and f"`{verdict}`" not in API] == []


def test_every_state_of_a_lane_is_described() -> None:
    assert [state for state in (*LaneState, "stopped") if f"| `{state}` |" not in OPERATIONS] == []


def test_every_schema_of_the_openapi_document_is_used() -> None:
    """And every reference leads to one."""
    text = repr(DOCUMENT)
    used = set(re.findall(r"#/components/schemas/(\w+)", text))
    assert used == set(DOCUMENT["components"]["schemas"])
