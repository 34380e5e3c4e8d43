"""JSON of any sender, read by the paths that the configuration gives."""

import json
from typing import Any

import pytest

from replicator.intake.formats.decoded import Decoded, Irrelevance, Irrelevant
from replicator.intake.formats.fields import MAX_EVENTS
from replicator.intake.formats.generic import decoder_of
from replicator.model import ChangeKind, Digest
from replicator.settings.generic import GenericFormat
from tests.support.webhook_samples import samples

IMAGE = "sha256:" + "6f" * 32


def read(where: dict[str, Any], body: Any) -> Decoded:
    return decoder_of(GenericFormat.model_validate(where))(json.dumps(body).encode(), {}, limit=1 << 20)


def names(decoded: Decoded) -> list[str]:
    assert not decoded.unreadable
    return [f"{change.kind} {change.repository}:{str(change.reference)[:9]}" for change in decoded.changes]


def test_every_part_of_a_change_is_taken_from_its_place() -> None:
    where = {
        "repository": "data.repository",
        "tag": "data.tag",
        "digest": "data.digest",
        "host": "data.host",
        "time": "timestamp",
        "id": "data.repository",
    }
    sample = samples()["standard-webhooks-example"]
    (change,) = decoder_of(GenericFormat.model_validate(where))(sample.body, sample.headers, limit=1 << 20).changes
    assert (change.kind, change.repository, change.reference) == (ChangeKind.PUSH, "team/app", "1.4.2")
    assert change.digest == Digest.parse("sha256:cd0eef44249451077a27635c5997623c93cb6dba9a968901d42cb9598cc54015")
    assert change.happened_at == 1773067466.0 + 0.402973
    assert (change.host, change.event_id) == ("registry.example.com", "team/app")


@pytest.mark.parametrize(
    ("image", "expected", "host"),
    [
        ("registry.test:5000/team/app:v1", "push team/app:v1", "registry.test:5000"),
        (f"registry.test/team/app@{IMAGE}", "push team/app:sha256:6f", "registry.test"),
        (f"registry.test/team/app:v1@{IMAGE}", "push team/app:v1", "registry.test"),
    ],
)
def test_a_full_name_is_taken_apart(image: str, expected: str, host: str) -> None:
    decoded = read({"image": "image"}, {"image": image})
    assert names(decoded) == [expected]
    assert decoded.changes[0].host == host


def test_a_name_may_stand_in_the_full_name_and_its_tag_elsewhere() -> None:
    assert names(read({"image": "i", "tag": "t"}, {"i": "r.test/app", "t": "v1"})) == ["push app:v1"]


def test_a_delivery_may_hold_several_events_and_an_event_several_tags() -> None:
    where = {"events": "data[*].events[*]", "repository": "r", "tag": "tags[*].name"}
    body = {
        "data": [
            {"events": [{"r": "a", "tags": [{"name": "1"}, {"name": "2"}, {"name": "1"}]}, {"r": "b"}]},
            {"events": []},
            {"events": [{"r": "c", "tags": [{"name": "3"}]}, {"r": "D", "tags": [{"name": "3"}]}, 7]},
        ]
    }
    decoded = read(where, body)
    assert [f"{change.repository}:{change.reference}" for change in decoded.changes] == ["a:1", "a:2", "c:3"]
    assert [one.reason for one in decoded.unreadable] == [
        "the event names neither tag nor digest",
        "'D' is not a repository name",
        "'' is not a repository name",
    ]


def test_a_body_that_is_a_list() -> None:
    assert names(read({"events": "[*]", "repository": "r", "tag": "t"}, [{"r": "a", "t": "1"}])) == ["push a:1"]
    assert read({"events": "[*]", "repository": "r", "tag": "t"}, []) == Decoded()


def test_a_digest_in_the_place_of_the_tag_is_one() -> None:
    (change,) = read({"repository": "r", "tag": "t"}, {"r": "a", "t": IMAGE}).changes
    assert change.reference == change.digest == Digest.parse(IMAGE)


@pytest.mark.parametrize(("action", "expected"), [("put", "push a:1"), ("gone", "delete a:1"), ("moved", "push a:1")])
def test_actions_mean_what_the_configuration_says(action: str, expected: str) -> None:
    where = {"repository": "r", "tag": "t", "action": "w", "pushes": ["put", "moved"], "deletes": ["gone"]}
    assert names(read(where, {"r": "a", "t": "1", "w": action})) == [expected]


@pytest.mark.parametrize("action", ["pull", "Push"])
def test_other_actions_are_ignored(action: str) -> None:
    decoded = read({"repository": "r", "tag": "t", "action": "w"}, {"w": action})
    assert decoded == Decoded(irrelevant=(Irrelevant(Irrelevance.ACTION),))


@pytest.mark.parametrize(("time", "seconds"), [(5, 5.0), (5.5, 5.5), ("1970-01-01T00:00:05Z", 5.0), ("x", None)])
def test_times_have_either_form(time: Any, seconds: float | None) -> None:
    decoded = read({"repository": "r", "tag": "t", "time": "at"}, {"r": "a", "t": "1", "at": time})
    assert decoded.changes[0].happened_at == seconds


@pytest.mark.parametrize(
    ("where", "body", "reason"),
    [
        ({"repository": "r", "tag": "t"}, {"r": ["a"], "t": "1"}, "'r' is not text"),
        ({"repository": "r[*]", "tag": "t"}, {"r": ["a", "b"], "t": "1"}, "there are several values at 'r[*]'"),
        ({"repository": "r", "tag": "t", "events": "e"}, {"r": "a"}, "the body has no events at 'e'"),
        ({"repository": "r", "tag": "t", "events": "e[*]"}, {"r": "a"}, "the body has no events at 'e[*]'"),
        ({"repository": "r", "tag": "t", "events": "e[*].f"}, {"e": {"f": 1}}, "the body has no events at 'e[*].f'"),
        ({"repository": "r", "tag": "t", "events": "[*]"}, {"r": "a"}, "the body has no events at '[*]'"),
        ({"repository": "r", "tag": "t", "action": "w"}, {"r": "a", "t": "1"}, "the event has no action at 'w'"),
        ({"repository": "r", "tag": "t", "action": "w"}, {"w": None}, "the event has no action at 'w'"),
        ({"image": "r"}, {"r": "app:v1"}, "'app:v1' does not name a registry and a repository"),
        ({"repository": "r", "tag": "t"}, 7, "'' is not a repository name"),
        (
            {"repository": "r", "tag": "t[*]"},
            {"r": "a", "t": ["1"] * (MAX_EVENTS + 1)},
            f"more than {MAX_EVENTS} values at 't[*]'",
        ),
    ],
)
def test_what_is_not_where_it_should_be_is_unreadable(where: dict[str, Any], body: Any, reason: str) -> None:
    decoded = read(where, body)
    assert not decoded.changes
    assert [one.reason for one in decoded.unreadable] == [reason]
