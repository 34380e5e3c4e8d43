"""No body makes the decoder raise, take long, or let a name through that the grammar forbids."""

import json
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from replicator.intake.formats.decoded import Decoded
from replicator.intake.formats.distribution import decode
from replicator.model import Digest, parse_repository, parse_tag

LIMIT = 1 << 20
DIGEST = "sha256:" + "ab" * 32

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)
awkward = st.sampled_from(
    [
        *("", "/", "..", "a/../b", "a%2fb", "a\n", "a\x00b", "\x1b[0m", "A", "blobs", "a/blobs/b", "x" * 300),
        *("sha256:", "sha256:xyz", DIGEST, DIGEST.upper(), "sha256-" + "ab" * 32, "v1", "latest", "team/app"),
        *(
            "push",
            "delete",
            "pull",
            "mount",
            "application/octet-stream",
            "2024-01-01T00:00:00Z",
            "9999-99-99T99:99:99Z",
        ),
    ]
)
targets = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("repository", "tag", "digest", "url", "mediaType", "size"), awkward | json_values),
)
events = st.fixed_dictionaries(
    {},
    optional={
        "action": awkward | json_values,
        "target": targets | json_values,
        "timestamp": awkward | json_values,
        "id": awkward | json_values,
        "request": st.fixed_dictionaries({}, optional={"host": awkward | json_values}) | json_values,
    },
)


def read(body: bytes) -> Decoded:
    started = time.monotonic()
    decoded = decode(body, {}, limit=LIMIT)
    assert time.monotonic() - started < 2.0
    for change in decoded.changes:
        assert parse_repository(change.repository) == change.repository
        if isinstance(change.reference, Digest):
            assert Digest.parse(str(change.reference)) == change.reference == change.digest
        else:
            assert parse_tag(change.reference) == change.reference
        assert change.happened_at is None or change.happened_at >= 0
        assert len(change.event_id) <= 256
    assert all(each.reason.isprintable() and len(each.reason) < 1_000 for each in decoded.unreadable)
    return decoded


@given(st.binary(max_size=2_000))
def test_any_bytes_are_read_without_an_exception(body: bytes) -> None:
    assert not read(body).changes


@given(json_values)
def test_any_json_is_read_without_an_exception(value: Any) -> None:
    read(json.dumps(value).encode())


@given(st.lists(events | json_values, max_size=6))
def test_every_event_of_a_batch_is_accounted_for(batch: list[Any]) -> None:
    body = json.dumps({"events": batch}).encode()
    decoded = read(body)
    sorted_out = len(decoded.changes) + len(decoded.irrelevant) + len(decoded.unreadable)
    assert sorted_out == len(batch) or (sorted_out == 1 and decoded.unreadable)


@given(st.data())
def test_a_damaged_body_is_read_without_an_exception(data: st.DataObject) -> None:
    target = {"repository": "team/app", "tag": "v1", "digest": DIGEST}
    whole = bytearray(json.dumps({"events": [{"action": "push", "target": target}]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(whole[: data.draw(st.integers(0, len(whole)))]))


@given(st.sampled_from(["repository", "tag", "digest", "url"]), st.sampled_from("/.-_:a0%"), st.integers(1, 200_000))
def test_long_monotonous_names_take_no_time(key: str, character: str, length: int) -> None:
    target = {"repository": "team/app", "tag": "v1", "digest": DIGEST, key: character * length + "!"}
    read(json.dumps({"events": [{"action": "push", "target": target}]}).encode())
