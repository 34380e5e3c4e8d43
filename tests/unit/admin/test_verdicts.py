"""What an explanation says of one replica, from what is known of it: a table of cases."""

from dataclasses import replace
from typing import Any

import pytest

from replicator.admin.verdicts import AtPrimary, Facts, Where, explained, judge
from replicator.errors import Reason
from replicator.lacks import Absent, Look, Part
from replicator.model import Digest, IntentKey, Priority, Repository, Tag
from replicator.routing import Mismatch, Reasons, Refused
from replicator.store.rows import Row
from replicator.store.sweep_rows import Swept
from tests.integration.admin_listener import Lane

APP, V1 = Repository("team/app"), Tag("v1")
NEW, OLD = Digest.of(b"new"), Digest.of(b"old")
NOW = 1_700_000_000.0
ROW = Row(
    key=IntentKey("eu", APP, V1),
    generation=2,
    observed_generation=2,
    want=None,
    have=NEW,
    dirty_since=None,
    due_at=None,
    priority=Priority.NORMAL,
    attempts=0,
    failing_since=None,
    reason=None,
    message="",
    parked=False,
    deadline_missed=False,
    verify_at=None,
    looks=0,
    leased=False,
    fingerprint="",
)
WAITS = replace(ROW, generation=3, want=NEW, have=OLD, dirty_since=NOW - 60, due_at=NOW + 20)
LOOKED = replace(ROW, verify_at=NOW + 3)
FAILS = replace(WAITS, attempts=3, failing_since=NOW - 50, reason=Reason.NETWORK, message="no route")
COMPLETE = Look(shown=NEW, asked=4)
LACKING = Look(shown=NEW, asked=4, absent=(Absent(Part.BLOB, OLD, 7),))
NOTHING = Look(asked=4, absent=(Absent(Part.MANIFEST, NEW, 7),))
SILENT = Look(problem="eu: connection refused")
SWEPT = Swept(repository=APP, found_at=1.0, next_at=NOW + 100, full_next_at=NOW + 5000)


def facts(**more: Any) -> Facts:
    known: dict[str, Any] = {
        "replica": "eu",
        "reasons": Reasons(1),
        "primary": AtPrimary(digest=NEW),
        "look": NOTHING,
    }
    return Facts(**(known | more))


@pytest.mark.parametrize(
    ("known", "where", "next_at", "words"),
    [
        (facts(row=ROW, look=COMPLETE), Where.THERE, None, "complete there"),
        (facts(row=WAITS, look=COMPLETE), Where.THERE, None, "complete there"),
        (facts(row=ROW, look=replace(COMPLETE, unasked=9)), Where.THERE, None, "9 parts were too many"),
        (facts(row=ROW, look=SILENT), Where.THERE, None, "connection refused"),
        (facts(row=ROW, look=LACKING), Where.MISSING, None, "replicator copy sends it anew"),
        (facts(row=ROW, look=replace(COMPLETE, shown=OLD)), Where.MISSING, None, "not as it was"),
        (facts(row=WAITS), Where.COMING, NOW + 20, "its turn comes"),
        (facts(row=WAITS, primary=AtPrimary(problem="down"), look=None), Where.COMING, NOW + 20, "owed"),
        (facts(row=replace(WAITS, due_at=NOW - 1), before=7), Where.COMING, NOW - 1, "due, 7 before it"),
        (facts(row=replace(WAITS, leased=True)), Where.COMING, NOW + 20, "being worked on"),
        (facts(row=FAILS, look=SILENT), Where.COMING, NOW + 20, "failing: network; its turn comes"),
        (facts(row=FAILS, lane=Lane(state="open")), Where.COMING, NOW + 20, "taken for down"),
        (facts(row=replace(FAILS, parked=True)), Where.PARKED, NOW + 20, "parked: network; its turn comes"),
        (facts(row=FAILS, paused_since=5.0), Where.PAUSED, None, "replicator resume"),
        (facts(row=replace(ROW, have=OLD, ignored_at=5.0)), Where.IGNORED, None, "by decision"),
        (facts(row=replace(ROW, have=OLD, verify_at=NOW + 3)), Where.COMING, NOW + 3, "looked at once more"),
        (facts(row=None), Where.MISSING, None, "nobody told of it: no webhook came"),
        (facts(row=None, compared=SWEPT), Where.MISSING, NOW + 100, "the next comparison finds it"),
        (facts(row=replace(ROW, have=OLD), compared=SWEPT), Where.MISSING, NOW + 5000, "names now; the next"),
        (facts(row=None, look=SILENT), Where.UNKNOWN, None, "connection refused"),
        (facts(row=None, primary=AtPrimary(problem="down"), look=None), Where.UNKNOWN, None, "down"),
        (facts(row=None, primary=AtPrimary(), look=None), Where.GONE, None, "no such reference"),
        (facts(row=ROW, primary=AtPrimary(), look=None), Where.GONE, None, f"was given {NEW}"),
        (facts(row=LOOKED, primary=AtPrimary(), look=None), Where.GONE, NOW + 3, "which is looked at again"),
        (facts(reasons=Reasons(None), look=None), Where.NO_RULE, None, "no rule sends it there"),
        (facts(reasons=Reasons(None), row=WAITS, look=None), Where.NO_RULE, None, "by rules of before"),
    ],
)
def test_an_answer_follows_from_what_is_known(known: Facts, where: Where, next_at: float | None, words: str) -> None:
    answer = judge(known, NOW)
    assert (answer.where, answer.next_at) == (where, next_at)
    assert words in answer.message


def test_a_document_says_all_that_is_known() -> None:
    reasons = Reasons(2, (Refused(1, Mismatch.TAGS, ("v*",), 7),), 9)
    look = Look(asked=30, absent=tuple(Absent(Part.BLOB, Digest.of(bytes([n])), n) for n in range(25)))
    document = explained(facts(row=FAILS, before=4, reasons=reasons, look=look, lane=Lane()), NOW)
    assert (document["rule"], document["rule_line"]) == (2, 9)
    assert document["refused"] == [{"rule": 1, "line": 7, "reason": "tags", "patterns": ["v*"]}]
    assert document["queue"] is not None
    queue = document["queue"]
    assert (queue["state"], queue["before"], queue["changes"], queue["priority"]) == ("failing", 4, 1, "normal")
    assert document["look"] is not None
    assert (document["look"]["lacking"], len(document["look"]["missing"])) == (25, 20)
    assert explained(facts(lane=None), NOW)["lane"] == "stopped"
