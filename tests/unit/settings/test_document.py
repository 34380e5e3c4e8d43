"""The YAML reader: stricter than YAML, bounded, and it knows every line."""

import pytest

from replicator.settings.document import Document, read_document
from replicator.settings.mistakes import key_path


def told(document: Document) -> list[str]:
    return [f"{key_path(mistake.path)}: {mistake.wrong}" for mistake in document.mistakes]


def test_plain_values_become_plain_data() -> None:
    document = read_document(b"a: text\nb: [1, 2.5, true, off]\nc: {d: 2001-01-01}\ne: '7'\n")
    assert document.data == {"a": "text", "b": [1, 2.5, True, False], "c": {"d": "2001-01-01"}, "e": "7"}
    assert told(document) == []


def test_each_key_and_item_knows_its_line() -> None:
    document = read_document(b"# first\na:\n  - x\n  - b: 1\n    c:\n      d: 2\n")
    assert document.lines == {
        (): 2,
        ("a",): 2,
        ("a", 0): 3,
        ("a", 1): 4,
        ("a", 1, "b"): 4,
        ("a", 1, "c"): 5,
        ("a", 1, "c", "d"): 6,
    }


def test_an_alias_stands_for_its_anchor() -> None:
    document = read_document(b"a: &x {b: 1}\nc: *x\n")
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_byte_order_mark_and_windows_line_ends_are_taken() -> None:
    document = read_document("\ufeffa: 1\r\nb: ü\r\n".encode())
    assert (document.data, document.lines["b",]) == ({"a": 1, "b": "ü"}, 2)


def bomb() -> bytes:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    return "\n".join(rows).encode()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ["(file): is empty"]),
        (b"# only a comment\n", ["(file): is empty"]),
        (b"a:\n", ["a: has no value"]),
        (b"a: [1, ~]\n", ["a[1]: has no value"]),
        (b"a: 1\nb: 2\na: 3\n", ["a: is written twice, first on line 1"]),
        (b"a: {b: 1, b: 2}\n", ["a.b: is written twice, first on line 1"]),
        (b"? [a, b]\n: 1\n", ["(file): has a key that is not text"]),
        (b"a: !secret b\n", ["a: has a YAML tag (!)"]),
        (b"a: !!python/object/apply:os.system [id]\n", ["a: has a YAML tag (!)"]),
        (b"a: !!binary eA==\n", ["a: has a YAML tag (!)"]),
        (b"a: !!int x\n", ["a: cannot be read as a YAML int"]),
        (b"a: !!bool x\n", ["a: cannot be read as a YAML bool"]),
        (b"a: " + b"9" * 5000, ["a: cannot be read as a YAML int"]),
        (b"a: 1\nb: [\n", ["(file): is not YAML here (expected the node content, but found '<stream end>')"]),
        (b"a: *b\n", ["(file): is not YAML here (found undefined alias)"]),
        (b"a: 1\n---\nb: 1\n", ["(file): is not YAML here (but found another document)"]),
        (b"a: \x07\n", ["(file): holds control characters"]),
        (b"a: \xff\n", ["(file): is not UTF-8 text"]),
        (b"a: " + b"x" * (1 << 20), ["(file): is longer than 1 MiB"]),
        (b"[" * 5000, ["(file): is nested too deeply or grows too large through its aliases"]),
        (b"a: &x [*x]\n", ["(file): is nested too deeply or grows too large through its aliases"]),
        (bomb(), ["(file): is nested too deeply or grows too large through its aliases"]),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_what_is_not_plain_yaml_is_refused(raw: bytes, expected: list[str]) -> None:
    assert told(read_document(raw)) == expected


def test_the_line_of_broken_syntax_is_told() -> None:
    assert read_document(b"a: 1\nb: 2\nc: d: e\n").lines[()] == 3


def test_the_line_of_bad_bytes_is_told() -> None:
    assert read_document(b"a: 1\nb: 2\nc: \xff\n").lines[()] == 3
