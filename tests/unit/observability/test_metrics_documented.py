"""docs/metrics.md and the code name the same metrics, types, labels and words."""

import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from replicator.errors import Reason
from replicator.model import Operation
from replicator.observability.families import Families
from replicator.observability.labels import (
    AttemptResult,
    BlobResult,
    LaneState,
    UpdateKind,
    UpdateResult,
    WebhookResult,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
ROW = re.compile(
    r"^\| `(?P<name>[a-z_]+)` \| (?P<kind>\w+) \|(?P<labels>[^|]*)\| (?P<meaning>[^|]+) \|$", re.MULTILINE
)


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    text = DOCUMENT.read_text(encoding="utf-8")
    return {
        row["name"]: (row["kind"], frozenset(re.findall(r"`(\w+)`", row["labels"]))) for row in ROW.finditer(text)
    }


def produced() -> dict[str, tuple[str, frozenset[str]]]:
    found = {}
    for family in (each for group in Families(CollectorRegistry()).groups for each in vars(group).values()):
        (described,) = family.describe()
        suffix = {"counter": "_total", "info": "_info"}.get(described.type, "")
        kind = "gauge" if described.type == "info" else described.type
        # The label of an Info metric comes with its value.
        labels = {"version"} if described.type == "info" else set(family._labelnames)  # noqa: SLF001 -- not told otherwise
        found[described.name + suffix] = (kind, frozenset(labels))
    return found


def test_every_metric_is_documented_with_its_type_and_labels_and_none_is_that_is_gone() -> None:
    assert documented() == produced()


def test_there_is_something_to_compare() -> None:
    assert len(produced()) > 25


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("replicator_replica_failing_updates", Reason),
        ("replicator_updates_total", UpdateKind),
        ("replicator_updates_completed_total", UpdateResult),
        ("replicator_attempts_total", AttemptResult),
        ("replicator_lane_state", LaneState),
        ("replicator_blobs_total", BlobResult),
        ("replicator_http_requests_total", Operation),
        ("replicator_webhook_events_total", WebhookResult),
    ],
)
def test_the_words_of_each_label_are_documented(metric: str, words: Iterable[StrEnum]) -> None:
    (meaning,) = [
        row["meaning"] for row in ROW.finditer(DOCUMENT.read_text(encoding="utf-8")) if row["name"] == metric
    ]
    assert {str(word) for word in words} <= set(re.findall(r"`([\w]+)`", meaning))


def test_labels_are_bounded_names() -> None:
    allowed = {
        *("replica", "source", "peer", "endpoint", "receiver", "event", "reason", "kind", "result"),
        *("how", "state", "op", "code_class", "version"),
    }
    assert {label for _, labels in produced().values() for label in labels} <= allowed
