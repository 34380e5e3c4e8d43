"""The table of faults names a test for each, and each test that carries a number is in the table."""

import ast
import re
from collections import defaultdict

from tests.meta.tree import ROOT, modules

FAULTS = range(1, 43)
"""As docs/faults.md numbers them."""
_ROW = re.compile(r"^\| (\d+) \|.*\|([^|]*)\|$", re.MULTILINE)


def _named() -> dict[int, list[str]]:
    rows = _ROW.findall((ROOT / "docs" / "faults.md").read_text())
    return {int(number): re.findall(r"`([^`]+)`", shown) for number, shown in rows}


def _written() -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for module in modules("tests"):
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                number = re.match(r"test_f(\d\d)_", node.name)
                if number:
                    found[int(number[1])].add(f"{module.path.as_posix()}::{node.name}")
    return dict(found)


def test_each_fault_is_in_the_table_once_and_in_order() -> None:
    assert list(_named()) == list(FAULTS)


def test_each_fault_has_the_tests_that_the_table_names_and_no_others() -> None:
    named = {number: set(tests) for number, tests in _named().items() if tests}
    assert named == _written()
    assert set(FAULTS) == named.keys()
