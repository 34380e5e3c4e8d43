"""A tag is deleted on a replica only where nothing at all speaks against it (G8)."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.deletion import Bounds, Doomed, Pace, Verdict, decide, within
from replicator.model import Digest

OURS, OTHER = Digest.of(b"ours"), Digest.of(b"other")
BOUNDS = Bounds(count=10, percent=50)
SURE = Doomed(
    now=100.0,
    due_at=100.0,
    at_primary=False,
    held=OURS,
    have=OURS,
    put=True,
    propagates=True,
    protected=False,
    alone=True,
    needed=False,
    approved=False,
    stopped=False,
    pace=Pace(done=0, due=1, tags=10),
)
counts = st.integers(0, 300)
paces = st.builds(Pace, done=counts, due=counts, tags=counts)
digests = st.sampled_from([None, OURS, OTHER])
tags = st.builds(
    Doomed,
    now=st.floats(0, 200),
    due_at=st.floats(0, 200),
    at_primary=st.sampled_from([True, False, None]),
    held=digests,
    have=digests,
    put=st.booleans(),
    propagates=st.booleans(),
    protected=st.booleans(),
    alone=st.booleans(),
    needed=st.sampled_from([True, False, None]),
    approved=st.booleans(),
    stopped=st.booleans(),
    pace=paces,
)
bounds = st.builds(Bounds, count=st.integers(1, 200), percent=st.floats(0.1, 100))


@pytest.mark.parametrize(
    ("differs", "verdict"),
    [
        ({}, Verdict.DELETE),
        ({"at_primary": True}, Verdict.CANCEL),
        ({"at_primary": None}, Verdict.WAIT),
        ({"propagates": False}, Verdict.CANCEL),
        ({"now": 99.9}, Verdict.WAIT),
        ({"protected": True}, Verdict.PROTECTED),
        ({"held": None}, Verdict.ABSENT),
        ({"held": OTHER}, Verdict.NOT_OURS),
        ({"have": None}, Verdict.NOT_OURS),
        ({"put": False}, Verdict.NOT_OURS),
        ({"alone": False}, Verdict.UNSUPPORTED),
        ({"needed": True}, Verdict.NEEDED),
        ({"needed": None}, Verdict.NEED_UNKNOWN),
        ({"stopped": True}, Verdict.STOPPED),
        ({"stopped": True, "approved": True}, Verdict.STOPPED),
        ({"pace": Pace(done=0, due=11, tags=1000)}, Verdict.TRIP),
        ({"pace": Pace(done=0, due=11, tags=1000), "approved": True}, Verdict.DELETE),
        ({"pace": Pace(done=3, due=3, tags=7)}, Verdict.TRIP),
        ({"pace": Pace(done=2, due=3, tags=7)}, Verdict.DELETE),
    ],
)
def test_each_single_objection_keeps_the_tag(differs: dict[str, object], verdict: Verdict) -> None:
    assert decide(replace(SURE, **differs), BOUNDS) is verdict  # type: ignore[arg-type]  # each of the right type


@given(tags, bounds)
def test_what_is_deleted_is_gone_at_the_primary_ours_due_and_not_too_much(tag: Doomed, limits: Bounds) -> None:
    if decide(tag, limits) is not Verdict.DELETE:
        return
    assert tag.at_primary is False
    assert tag.propagates
    assert tag.alone
    assert tag.needed is False
    assert tag.put
    assert not tag.protected
    assert not tag.stopped
    assert tag.held is not None
    assert tag.held == tag.have
    assert tag.now >= tag.due_at
    assert tag.approved or within(tag.pace, limits)


@given(tags, bounds, counts)
def test_more_deletes_never_make_one_more_likely(tag: Doomed, limits: Bounds, more: int) -> None:
    busier = replace(tag, pace=replace(tag.pace, due=tag.pace.due + more))
    if decide(busier, limits) is Verdict.DELETE:
        assert decide(tag, limits) is Verdict.DELETE


@given(paces, bounds)
def test_never_more_than_the_count_and_always_one_of_a_small_registry(pace: Pace, limits: Bounds) -> None:
    if pace.done + pace.due > limits.count:
        assert not within(pace, limits)
    if pace.done + pace.due <= 1:
        assert within(pace, limits)


@given(paces, bounds)
def test_as_deletes_are_done_the_rest_of_them_may_go_on(pace: Pace, limits: Bounds) -> None:
    """The ones before do not stop the ones that were counted with them: what was let through ends."""
    if pace.due and pace.tags and within(pace, limits):
        assert within(Pace(pace.done + 1, pace.due - 1, pace.tags - 1), limits)
