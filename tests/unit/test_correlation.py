"""One id for each delivery."""

import uuid

import pytest

from replicator.correlation import delivery_id, pack_delivery, unpack_delivery


def test_a_uuid_is_kept_as_its_sender_writes_it() -> None:
    sent = str(uuid.uuid4())
    assert delivery_id(sent) == sent
    assert delivery_id(sent.upper()) == sent


@pytest.mark.parametrize("sent", ["e-1", "9" * 300, "\x00", "\U0001f433", "a" * 31, "{", "%s"])
def test_any_other_name_always_gives_the_same_id(sent: str) -> None:
    assert delivery_id(sent) == delivery_id(sent) == str(uuid.UUID(delivery_id(sent)))
    assert delivery_id(sent) != delivery_id(sent + "x")


def test_what_has_no_name_gets_an_id_of_its_own() -> None:
    assert delivery_id() != delivery_id("") != delivery_id()


def test_an_id_is_sixteen_bytes_in_the_store() -> None:
    one = delivery_id("e-1")
    packed = pack_delivery(one)
    assert packed is not None
    assert len(packed) == 16
    assert unpack_delivery(packed) == one
    assert (pack_delivery(""), unpack_delivery(None)) == (None, "")
