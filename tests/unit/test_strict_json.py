"""Untrusted JSON is read in one way only, whatever its shape (S6, S10)."""

import pytest

from replicator import strict_json

LIMIT = 1 << 20


def test_plain_json_is_read() -> None:
    assert strict_json.loads(b'{"a": [1, 2.5, "x", null, true], "b": {"a": 1}}', limit=LIMIT) == {
        "a": [1, 2.5, "x", None, True],
        "b": {"a": 1},
    }


def test_size_is_checked_before_anything_is_parsed() -> None:
    data = b'{"a":1}'
    assert strict_json.loads(data, limit=len(data)) == {"a": 1}
    with pytest.raises(strict_json.Invalid, match="over the limit"):
        strict_json.loads(data, limit=len(data) - 1)


@pytest.mark.parametrize(
    "data",
    [
        b'{"mediaType":"a","mediaType":"b"}',
        b'{"x":{"a":1,"\\u0061":2}}',
        b"NaN",
        b'{"a":Infinity}',
        b"[-Infinity]",
        b"1e999",
        b"1" * 5000,
        b"",
        b"{",
        b'{"a":1} trailing',
        b'\xef\xbb\xbf{"a":1}',
        b"\xff\xfe{",
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'["\\ud83d"]',
        b'["\\udc00\\ud83d"]',
        b'["a\nb"]',
        b"{'a':1}",
    ],
)
def test_what_two_readers_could_see_differently_is_refused(data: bytes) -> None:
    with pytest.raises(strict_json.Invalid):
        strict_json.loads(data, limit=LIMIT)


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert strict_json.loads(b'["\\ud83d\\ude00"]', limit=LIMIT) == ["\N{GRINNING FACE}"]


def test_s10_depth_is_bounded_and_never_ends_in_a_recursion_error() -> None:
    deepest = strict_json.MAX_DEPTH
    strict_json.loads(b"[" * deepest + b"]" * deepest, limit=LIMIT)
    for opening in (b"[", b'{"a":', b'[{"a":'):
        with pytest.raises(strict_json.Invalid, match="nested"):
            strict_json.loads(opening * 100_000, limit=LIMIT)


def test_brackets_inside_strings_do_not_count_as_depth() -> None:
    text = b'["' + b"[{" * 500 + b'\\"[[' * 100 + b'"]'
    assert strict_json.loads(text, limit=LIMIT) == ["[{" * 500 + '"[[' * 100]


def test_many_shallow_objects_are_fine() -> None:
    assert strict_json.loads(b"[" + b",".join([b"{}"] * 5000) + b"]", limit=LIMIT) == [{}] * 5000


def test_an_unterminated_string_is_refused_in_linear_time() -> None:
    with pytest.raises(strict_json.Invalid):
        strict_json.loads(b'[" ",' * 40 + b"[" * 40 + b'"' + b'\\"' * 400_000, limit=LIMIT)
