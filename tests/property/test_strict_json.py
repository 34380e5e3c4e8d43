"""Strict JSON reads what everybody writes, and refuses without failing."""

import json

from hypothesis import given
from hypothesis import strategies as st

from replicator import strict_json

SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    SCALARS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=30,
)


@given(VALUES, st.booleans())
def test_what_is_written_is_read_back(value: object, escaped: bool) -> None:
    data = json.dumps(value, ensure_ascii=escaped).encode()
    assert strict_json.loads(data, limit=len(data)) == value


@given(st.binary(max_size=200))
def test_bytes_are_read_as_the_standard_library_reads_them_or_refused(data: bytes) -> None:
    try:
        value = strict_json.loads(data, limit=200)
    except strict_json.Invalid:
        return
    assert value == json.loads(data)


@given(st.text('[]{}",:\\1a ', max_size=300))
def test_brackets_and_quotes_in_any_order_are_read_or_refused(text: str) -> None:
    try:
        value = strict_json.loads(text.encode(), limit=1_000)
    except strict_json.Invalid:
        return
    assert value == json.loads(text)
