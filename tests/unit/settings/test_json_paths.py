"""The language of paths: keys, dots, and [*] for every item of a list; nothing else."""

from typing import Any

import pytest

from replicator.settings import json_paths
from replicator.settings.json_paths import Every

DOCUMENT: dict[str, Any] = {
    "a": {"b": [1, 2], "c-d": None, "é": {"": 3}},
    "l": [{"x": 1}, 5, {"x": [7]}],
    "t": "text",
}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("t", ["text"]),
        ("a.b", [[1, 2]]),
        ("a.b[*]", [1, 2]),
        ("a.c-d", [None]),
        ("l[*].x", [1, [7]]),
        ("l[*].x[*]", [7]),
        ("missing", []),
        ("a.missing.b", []),
        ("t.b", []),
        ("t[*]", []),
        ("a[*]", []),
    ],
)
def test_a_path_leads_to_values(text: str, found: list[Any]) -> None:
    assert list(json_paths.values(DOCUMENT, json_paths.parse(text))) == found


def test_a_path_may_begin_with_a_list() -> None:
    assert json_paths.parse("[*].a[*][*]") == (Every.ITEM, "a", Every.ITEM, Every.ITEM)
    assert list(json_paths.values([{"a": [[1], [2, 3]]}], json_paths.parse("[*].a[*][*]"))) == [1, 2, 3]


def test_no_steps_lead_to_the_document() -> None:
    assert list(json_paths.values(DOCUMENT, ())) == [DOCUMENT]


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a[0]",
        "a[*",
        "a[*]b",
        "a.[*]",
        "$.a",
        "$",
        "a b",
        "a\n",
        "a]",
        ".".join("abcdefghijklmnopq"),
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"it (holds|has|begins)|a key is missing"):
        json_paths.parse(text)
