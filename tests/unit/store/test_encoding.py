"""Names and digests come out of a column as they went in, and never stand for one another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import StoreError
from replicator.model import Digest, Reference, parse_tag
from replicator.store.encoding import (
    FIRST_TAG,
    bounded,
    pack_digest,
    pack_reference,
    unpack_digest,
    unpack_reference,
)

digests = st.binary().flatmap(lambda data: st.sampled_from([Digest.of(data), Digest.of(data, "sha512")]))
tags = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True).map(parse_tag)


@given(digests | tags)
def test_a_reference_comes_back_as_it_was(reference: Reference) -> None:
    packed = pack_reference(reference)
    assert unpack_reference(packed) == reference
    assert (packed < FIRST_TAG) == isinstance(reference, Digest)


@given(digests | st.none())
def test_a_digest_comes_back_as_it_was(digest: Digest | None) -> None:
    assert unpack_digest(pack_digest(digest)) == digest


def test_a_digest_takes_one_byte_more_than_its_hash() -> None:
    assert len(pack_reference(Digest.of(b""))) == 33


@pytest.mark.parametrize("damaged", [b"", b"\x03" + bytes(32), b"\x00"])
def test_damaged_bytes_are_named_as_such(damaged: bytes) -> None:
    with pytest.raises(StoreError, match="damaged"):
        unpack_digest(damaged)


@given(st.text(st.characters(), max_size=50), st.integers(0, 60))
def test_bounded_text_can_be_stored_and_keeps_its_length(text: str, limit: int) -> None:
    kept = bounded(text, limit)
    assert len(kept) == min(len(text), limit)
    assert "\x00" not in kept
    assert kept.encode().decode() == kept
