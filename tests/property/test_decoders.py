"""No delivery makes any decoder raise, take long, or let a name through that the grammar forbids."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.intake.formats.decoded import Decoded
from replicator.intake.formats.fields import MAX_EVENTS
from tests.support.decoding import DECODERS, read
from tests.support.webhook_samples import Sample, samples

every_decoder = pytest.mark.parametrize("name", DECODERS)
OF_FORMATS: Mapping[str, list[Sample]] = {
    name: [sample for sample in samples().values() if sample.format == name] or list(samples().values())[::8]
    for name in DECODERS
}
"""Whose samples each decoder is tried on: `auto` and `generic` take those of all."""
some_samples = st.sampled_from(list(samples().values()))
much = settings(max_examples=4 * settings().max_examples)
DIGEST = "sha256:" + "ab" * 32
AWKWARD: list[Any] = [
    *(None, True, 0, -1, 10**300, 1.5, 1e308, [], {}, [[]], [{}], {"a": []}, [None] * 3),
    *(
        "",
        "/",
        "//",
        ":",
        "@",
        "a/b",
        "/v2/",
        "..",
        "a/../b",
        "a%2fb",
        "a\n",
        "a\x00b",
        "\x1b[0m",
        "A",
        "é",
        "x" * 300,
    ),
    *("sha256:", "sha256:xyz", DIGEST, DIGEST.upper(), "latest", "h/r:t@" + DIGEST, "h/r:", "h/r@", "h/:t", "h:1/r"),
    *(
        "http://[",
        "https://a:b@c/",
        "https://h:x/",
        "9999-99-99T99:99:99Z",
        "2024-01-01T00:00:60+9999",
        "====",
        "e30=",
    ),
    *(
        "push",
        "delete",
        "Notification",
        "Microsoft.EventGrid.SubscriptionValidationEvent",
        "zotregistry.image.updated",
    ),
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from(AWKWARD),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=10), inside, max_size=4),
    max_leaves=20,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value in a document, the document first."""
    yield path
    if isinstance(value, dict):
        for key, below in value.items():
            yield from places(below, (*path, key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from places(below, (*path, index))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        document = document[part]
    return document


@contextmanager
def put(document: Any, path: tuple[Any, ...], value: Any) -> Iterator[Any]:
    """Give the document with `value` at the path for a while; `...` takes out the key that is there."""
    if not path:
        yield None if value is ... else value
        return
    holder, last = at(document, path[:-1]), path[-1]
    before = holder[last]
    if value is ... and isinstance(holder, dict):
        del holder[last]
    else:
        holder[last] = None if value is ... else value
    yield document
    holder[last] = before


def read_with(name: str, sample: Sample, document: Any, path: tuple[Any, ...], value: Any) -> Decoded:
    with put(document, path, value) as changed:
        return read(name, json.dumps(changed).encode(), sample.headers)


@every_decoder
def test_the_wrong_kind_at_every_key_of_every_sample(name: str) -> None:
    for sample in OF_FORMATS[name]:
        document = json.loads(sample.body)
        for path in list(places(document)):
            for value in (..., *AWKWARD):
                read_with(name, sample, document, path, value)


def test_the_wrong_kind_inside_what_is_packed_into_a_string() -> None:
    """Pub/Sub packs its message as base64, SNS as text."""
    pub_sub, sns = samples()["gar-pubsub-insert-tag"], samples()["sns-notification-ecr-push"]
    pushed, notified = json.loads(pub_sub.body), json.loads(sns.body)
    message = json.loads(base64.b64decode(pushed["message"]["data"]))
    event = json.loads(notified["Message"])
    for value in (..., *AWKWARD):
        for path in list(places(message)):
            with put(message, path, value) as changed:
                packed = base64.b64encode(json.dumps(changed).encode()).decode()
                read_with("gar", pub_sub, pushed, ("message", "data"), packed)
        for path in list(places(event)):
            with put(event, path, value) as changed:
                read_with("sns", sns, notified, ("Message",), json.dumps(changed))


@given(st.binary(max_size=500))
def test_any_bytes_are_read_without_an_exception(body: bytes) -> None:
    for name in DECODERS:
        assert not read(name, body, {}).changes
        read(name, b"payload=" + body, {"content-type": "application/x-www-form-urlencoded"})


@given(json_values, st.dictionaries(st.sampled_from(["Ce-Type", "X-GitHub-Event", "aeg-event-type"]), st.text()))
def test_any_json_under_any_headers_is_read_without_an_exception(value: Any, headers: dict[str, str]) -> None:
    for name in DECODERS:
        read(name, json.dumps(value).encode(), headers)


@much
@given(some_samples, st.data())
def test_a_damaged_sample_is_read_without_an_exception(sample: Sample, data: st.DataObject) -> None:
    whole = bytearray(sample.body)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    for name in {sample.format, "auto", "generic"} - {""}:
        read(name, bytes(whole[: data.draw(st.integers(0, len(whole)))]), sample.headers)


@much
@given(some_samples, st.data())
def test_samples_with_values_of_any_kind_are_read_without_an_exception(sample: Sample, data: st.DataObject) -> None:
    document = json.loads(sample.body)
    path = data.draw(st.sampled_from(list(places(document))))
    value = data.draw(json_values)
    for name in {sample.format, "auto", "generic", "generic of lists"} - {""}:
        read_with(name, sample, document, path, value)


@given(some_samples, st.data())
def test_headers_of_any_kind_are_read_without_an_exception(sample: Sample, data: st.DataObject) -> None:
    awkward = st.text(max_size=400) | st.just("\udcff\udc80") | st.sampled_from(list(sample.headers.values()))
    headers = {key: data.draw(awkward) for key in sample.headers}
    for name in {sample.format, "auto", "generic"} - {""}:
        read(name, sample.body, headers)


@every_decoder
def test_long_monotonous_text_in_any_place_takes_no_time(name: str) -> None:
    """What takes the square of the time needs minutes for this many characters, and is seen."""
    for sample in OF_FORMATS[name][:2]:
        document = json.loads(sample.body)
        for path in [path for path in places(document) if isinstance(at(document, path), str)]:
            for part in ("/", ".", "-", ":", "@", "a/", "a-", "="):
                read_with(name, sample, document, path, part * (200_000 // len(part)) + "!")


@every_decoder
def test_deep_nesting_in_any_place_is_refused(name: str) -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    for sample in OF_FORMATS[name]:
        document = json.loads(sample.body)
        for path in list(places(document)):
            assert read_with(name, sample, document, path, deep).unreadable
    for bracket in (b"[", b'{"a":'):
        assert read(name, bracket * 200_000, {}).unreadable


@every_decoder
def test_lists_as_long_as_they_may_be_take_no_time_and_longer_ones_are_refused(name: str) -> None:
    for sample in OF_FORMATS[name][-2:]:
        document = json.loads(sample.body)
        for path in [path for path in places(document) if path and path[-1] == 0]:
            item = at(document, path)
            decoded = read_with(name, sample, document, path[:-1], [item] * MAX_EVENTS)
            assert len(decoded.changes) <= 2 * MAX_EVENTS
            decoded = read_with(name, sample, document, path[:-1], [item] * (MAX_EVENTS + 1))
            assert len(decoded.changes) <= 1


def test_lists_in_lists_do_not_multiply_without_end() -> None:
    event = {"images": ["r.test/app"], "tags": [f"t{number}" for number in range(20)], "a": {"b": "push"}}
    decoded = read("generic of lists", json.dumps({"events": [event] * MAX_EVENTS}).encode(), {})
    assert decoded.changes == ()
    assert [one.reason for one in decoded.unreadable] == ["more than 10000 changes in one delivery"]


@every_decoder
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/x-www-form-urlencoded"}], ids=["json", "form"])
def test_a_body_over_the_limit_is_refused_before_it_is_parsed(name: str, headers: dict[str, str]) -> None:
    (unreadable,) = DECODERS[name](b"payload=" + b" " * 1_000, headers, limit=100).unreadable
    assert "over the limit of 100" in unreadable.reason
