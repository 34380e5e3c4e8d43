"""What no file of the project may hold."""

import re
import tokenize
from pathlib import Path

from tests.meta.tree import ROOT, modules, texts

# Put together here, so that this file does not hold what it looks for.
LATER = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MACHINE = re.compile(
    "|".join([r"(?<![\w.])/wor" + r"k/(main|shared)\b", "/tmp/br" + "ief", "/ro" + r"ot/\w", r"/ho" + r"me/[a-z]"])
)
INDEX = re.compile(
    "|".join(
        [
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "extra-index" + "-url",
            "index" + r"-url",
            "(proxy|sum)" + r"\.golang",
        ]
    )
)
IGNORE = re.compile(r"#\s*(noqa\b|type:\s*ignore\b|pragma:\s*no cover)(?P<rest>[^#]*)(?P<reason>#.*)?")


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts()
        if path.name != "LICENSE"
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_nothing_is_left_for_later() -> None:
    assert lines_with(LATER) == []


def test_no_path_of_a_developers_machine() -> None:
    assert lines_with(MACHINE) == []


def test_no_package_index_is_named() -> None:
    """Where packages come from is decided by whoever installs, not by this project."""
    assert lines_with(INDEX) == []


def test_no_mocks() -> None:
    """Tests use real things, or fakes that passed the contract of the real thing."""
    mocking = {"unittest.mock", "mock", "pytest_mock", "pytest_mocker"}
    assert [str(module.path) for module in modules("tests") if module.imports & mocking] == []


def comments(path: Path) -> list[tuple[int, str]]:
    with (ROOT / path).open("rb") as source:
        return [
            (token.start[0], token.string)
            for token in tokenize.tokenize(source.readline)
            if token.type == tokenize.COMMENT
        ]


def test_each_exception_from_a_check_has_a_code_and_a_reason() -> None:
    bare = []
    for module in (*modules(), *modules("tests")):
        for number, comment in comments(module.path):
            found = IGNORE.search(comment)
            if found is None:
                continue
            reason = re.sub(r"^[:\s]*(\[[\w\-, ]+\]|[A-Z]+\d+(,\s*[A-Z]+\d+)*)?", "", found["rest"]).strip(" -")
            if not (reason or (found["reason"] or "").strip("# ")):
                bare.append(f"{module.path}:{number}: {comment}")
    assert bare == []
