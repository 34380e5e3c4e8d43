"""What a list of tags says of the rows that are kept: a table of cases, and what holds for any of them."""

from dataclasses import replace

import hypothesis
import pytest
from hypothesis import strategies as st

from replicator.model import Change, ChangeKind, Digest, Priority, Repository, Tag
from replicator.observability.labels import DifferenceKind
from replicator.routing import Router
from replicator.store.sweep_rows import KnownTag
from replicator.sweep.compare import Comparison, Listed, answered, compare, doomed, still
from tests.unit.replication.rig import settings_of

APP, TAG = Repository("team/app"), Tag("v1")
ONE, OTHER = Digest("sha256", "1" * 64), Digest("sha256", "2" * 64)
ROUTER = Router(settings_of(["eu", "us"], rules=[{"tags": ["*", "!private-*"], "priority": "high"}]))
PRINTS = {
    one.key.replica: one.fingerprint
    for one in ROUTER.route(Change(kind=ChangeKind.PUSH, repository=APP, reference=TAG), 0.0)
}
AT = 1_700_000_000.0


def row(replica: str, tag: str = "v1", have: Digest | None = ONE, **more: object) -> KnownTag:
    known = KnownTag(replica=replica, tag=Tag(tag), have=have, owed=False, looking=False, fingerprint=PRINTS[replica])
    return replace(known, **more)  # type: ignore[arg-type]  # the fields of a row, each of its own type


def listed(*tags: str, digest: Digest | None = None, whole: bool = True, compared: bool = True) -> Listed:
    named = {Tag(one): digest for one in tags}
    return Listed(repository=APP, tags=named, began_at=AT, whole=whole, compared=compared)


def kinds(comparison: Comparison) -> list[tuple[str, str]]:
    return sorted((one.key.replica, one.kind.value) for one in comparison.differences)


def test_what_all_replicas_hold_is_asked_for_once_and_differs_in_nothing() -> None:
    found = compare(listed("v1"), [row("eu"), row("us")], ROUTER)
    assert found.differences == ()
    assert [(one.tag, one.known, len(one.held)) for one in found.questions] == [(TAG, ONE, 2)]
    assert answered(found.questions[0], ONE) == ()
    assert answered(found.questions[0], None) == (), "it is gone meanwhile: the next list tells"


def test_a_tag_that_nobody_told_of_is_missing_at_the_priority_of_its_rule() -> None:
    found = compare(listed("v1"), [], ROUTER)
    assert kinds(found) == [("eu", "missing"), ("us", "missing")]
    intents = [one.intent for one in found.differences if one.intent is not None]
    assert {(one.since, one.due_at, one.priority, one.backfill) for one in intents} == {
        (AT, AT, Priority.HIGH, False)
    }


def test_what_was_there_before_the_first_comparison_is_backfill() -> None:
    found = compare(listed("v1", compared=False), [], ROUTER)
    assert kinds(found) == [("eu", "backfill"), ("us", "backfill")]
    intents = [one.intent for one in found.differences if one.intent is not None]
    assert {(one.priority, one.backfill) for one in intents} == {(Priority.LOW, True)}


def test_a_new_replica_is_filled_with_what_others_have() -> None:
    assert kinds(compare(listed("v1"), [row("eu")], ROUTER)) == [("us", "backfill")]


def test_rows_of_another_rule_are_filled_anew_even_when_they_are_owed() -> None:
    old = [row("eu", fingerprint="old"), row("us", fingerprint="old", owed=True)]
    assert kinds(compare(listed("v1"), old, ROUTER)) == [("eu", "backfill"), ("us", "backfill")]


def test_what_is_worked_on_or_looked_at_anyway_is_left_alone() -> None:
    found = compare(listed("v1"), [row("eu", owed=True), row("us", have=None, looking=True)], ROUTER)
    assert found == Comparison((), ())


@pytest.mark.parametrize("have", [None, ONE])
@pytest.mark.parametrize("fingerprint", ["old", PRINTS["eu"]])
def test_what_is_ignored_differs_only_when_the_primary_names_something_else(
    have: Digest | None, fingerprint: str
) -> None:
    rows = [row("eu", have=have, fingerprint=fingerprint, ignored=True, left_out=OTHER), row("us")]
    asked = compare(listed("v1"), rows, ROUTER)
    assert asked.differences == ()
    assert [one.key.replica for one in answered(asked.questions[0], OTHER)] == ["us"]
    assert [one.key.replica for one in answered(asked.questions[0], ONE)] == ["eu"], "that ends the decision"
    assert kinds(compare(listed("v1", digest=OTHER), rows, ROUTER)) == [("us", "stale")]
    assert kinds(compare(listed("v1", digest=ONE), rows, ROUTER)) == [("eu", "stale")]


@pytest.mark.parametrize("digest", [ONE, None])
def test_what_is_ignored_while_nobody_knows_its_digest_is_left_alone(digest: Digest | None) -> None:
    rows = [row("eu", have=None, ignored=True), row("us")]
    found = compare(listed("v1", digest=digest), rows, ROUTER)
    assert found.differences == ()
    assert [one.key.replica for question in found.questions for one in answered(question, OTHER)] == (
        [] if digest else ["us"]
    )


def test_what_somebody_ignores_meanwhile_is_no_news_any_more() -> None:
    found = compare(listed("v1"), [row("eu", have=None), row("us")], ROUTER).differences
    assert still(found, [row("eu", have=None, ignored=True, left_out=ONE)]) == ()
    assert still(found, [row("eu", have=None, ignored=True)]) == ()
    assert still(found, [row("eu", have=None)]) == found


def test_a_tag_that_came_back_is_missing() -> None:
    assert kinds(compare(listed("v1"), [row("eu", have=None), row("us")], ROUTER)) == [("eu", "missing")]


def test_a_list_with_digests_needs_no_questions() -> None:
    found = compare(listed("v1", digest=OTHER), [row("eu"), row("us", have=OTHER)], ROUTER)
    assert (kinds(found), found.questions) == ([("eu", "stale")], ())
    assert found.differences[0].intent is not None
    assert found.differences[0].intent.digest == OTHER


def test_each_replica_that_holds_another_digest_than_the_primary_is_stale() -> None:
    found = compare(listed("v1"), [row("eu"), row("us", have=OTHER)], ROUTER)
    assert [one.key.replica for one in answered(found.questions[0], OTHER)] == ["eu"]
    assert [one.key.replica for one in answered(found.questions[0], ONE)] == ["us"]


def test_only_a_whole_list_says_that_a_tag_is_gone() -> None:
    rows = [row("eu", "old"), row("us", "old")]
    assert kinds(compare(listed("v1", whole=False), rows, ROUTER))[:2] == [("eu", "missing"), ("us", "missing")]
    assert ("eu", "extra") in kinds(compare(listed(), rows, ROUTER))
    assert compare(listed(whole=False), rows, ROUTER) == Comparison((), ())


@pytest.mark.parametrize(
    "known",
    [
        row("eu", "private-1"),
        row("eu", "old", fingerprint="old"),
        row("eu", "old", have=None),
        row("eu", "old", owed=True),
        row("eu", "old", looking=True),
    ],
    ids=["by rules no longer sent", "of another rule", "never held", "worked on", "looked at anyway"],
)
def test_what_is_not_surely_held_by_todays_rules_is_not_gone(known: KnownTag) -> None:
    assert compare(listed(), [known], ROUTER) == Comparison((), ())


def test_what_a_webhook_told_of_meanwhile_is_no_difference() -> None:
    missing = compare(listed("v1"), [], ROUTER).differences
    assert still(missing, [row("eu", have=None, owed=True)]) == missing[1:]
    assert still(missing, [row("eu"), row("us")]) == ()
    stale = answered(compare(listed("v1"), [row("eu"), row("us")], ROUTER).questions[0], OTHER)
    assert still(stale, [row("eu", have=OTHER), row("us")]) == stale[1:]


TAGS = st.sampled_from(["v1", "v2", "v3", "private-1"])
ROWS = st.builds(
    lambda replica, tag, have, owed, looking, old: row(
        replica, tag, have, owed=owed, looking=looking, fingerprint="old" if old else PRINTS[replica]
    ),
    st.sampled_from(["eu", "us"]),
    TAGS,
    st.sampled_from([ONE, OTHER, None]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@hypothesis.given(
    names=st.frozensets(TAGS),
    rows=st.lists(ROWS, unique_by=lambda one: (one.replica, one.tag)),
    digest=st.sampled_from([None, ONE, OTHER]),
    whole=st.booleans(),
    compared=st.booleans(),
    truth=st.sampled_from([ONE, OTHER]),
)
def test_after_what_differs_is_mended_nothing_differs(
    names: frozenset[str],
    rows: list[KnownTag],
    digest: Digest | None,
    whole: bool,
    compared: bool,
    truth: Digest,
) -> None:
    what = listed(*names, digest=digest, whole=whole, compared=compared)
    found = compare(what, rows, ROUTER)
    differences = [*found.differences]
    for question in found.questions:
        differences += answered(question, truth)
    keys = [one.key for one in differences]
    assert len(set(keys)) == len(keys), "each tag of a replica differs once"
    assert all(one.intent is None or one.key.reference in what.tags for one in differences)
    assert whole or all(one.kind is not DifferenceKind.EXTRA for one in differences)
    assert not any(str(key.reference).startswith("private-") for key in keys), "no rule sends it"
    held = {(one.replica, one.tag): one for one in rows}
    for one in differences:
        assert not isinstance(one.key.reference, Digest)
        at = (one.key.replica, one.key.reference)
        if one.intent is None:
            held.pop(at)
        else:
            held[at] = row(*at, have=digest or truth)
    again = compare(replace(what, compared=True), held.values(), ROUTER)
    left = [*again.differences, *(one for question in again.questions for one in answered(question, truth))]
    assert left == []


@pytest.mark.parametrize("whole", [True, False])
def test_only_what_a_whole_list_lacks_is_doomed_and_only_where_a_rule_says_so(whole: bool) -> None:
    rules = [{"replicas": ["eu"], "deletes": "propagate"}, {"replicas": ["us"]}]
    router = Router(settings_of(["eu", "us"], rules=rules))
    prints = {
        one.key.replica: one.fingerprint
        for one in router.route(Change(kind=ChangeKind.PUSH, repository=APP, reference=TAG), 0.0)
    }
    rows = [row(replica, tag, fingerprint=prints[replica]) for replica in ("eu", "us") for tag in ("v1", "v2")]
    rows.append(row("eu", "v3", fingerprint="of other rules"))
    found = doomed(compare(listed("v2", whole=whole), rows, router).differences, router, AT)
    assert [(str(one.key), one.due_at) for one in found] == ([("eu team/app:v1", AT + 3600)] if whole else [])
