"""When which repository is compared again: bounds that hold for any history."""

import hypothesis
from hypothesis import strategies as st

from replicator.model import Repository, Tag
from replicator.store.sweep_rows import Swept
from replicator.sweep.schedule import SOONEST, Outcome, Rhythm, compared, failed, under_way, wants_digests

HOUR, DAY = 3600.0, 86400.0
RHYTHM = Rhythm(every=HOUR, full_every=DAY)
AT = 1_700_000_000.0
NEW = Swept(repository=Repository("team/app"), found_at=AT, next_at=AT, full_next_at=AT)


def done(swept: Swept, at: float, *, digests: bool = True, changed: bool = False, chance: float = 0.0) -> Swept:
    began = at if swept.full_began_at is None else swept.full_began_at
    outcome = Outcome(began_at=at, full_began_at=began, digests=digests, changed=changed, gone=0, scope="rules")
    return compared(swept, outcome, RHYTHM, chance)


def test_a_repository_that_changed_is_soon_compared_again_and_later_and_later() -> None:
    swept = done(NEW, AT, changed=True)
    assert (swept.changed_at, swept.next_at) == (AT, AT + SOONEST)
    assert done(swept, AT + 2 * HOUR).next_at == AT + 2 * HOUR + 720.0
    assert done(swept, AT + DAY).next_at == AT + DAY + HOUR, "at the latest every hour"


def test_one_that_never_changed_is_compared_as_seldom_as_allowed() -> None:
    swept = done(NEW, AT)
    assert (swept.next_at, swept.full_next_at) == (AT + HOUR, AT + DAY)
    assert not wants_digests(swept, AT + DAY - 1, RHYTHM)
    assert wants_digests(swept, AT + DAY, RHYTHM)


def test_digests_are_compared_every_hour_where_something_changed_lately() -> None:
    swept = done(NEW, AT, changed=True)
    assert not wants_digests(swept, AT + HOUR - 1, RHYTHM)
    assert wants_digests(swept, AT + HOUR, RHYTHM)


def test_first_comparisons_of_digests_at_one_time_do_not_stay_so() -> None:
    assert done(NEW, AT, chance=0.5).full_next_at == AT + 0.75 * DAY


def test_a_comparison_that_was_cut_goes_on_and_counts_from_its_beginning() -> None:
    cut = under_way(under_way(NEW, AT, Tag("v1")), AT + 10, Tag("v2"))
    assert (cut.full_began_at, cut.progress, cut.full_at) == (AT, "v2", None)
    assert wants_digests(cut, AT + 20, RHYTHM)
    whole = done(cut, AT + 20)
    assert (whole.full_at, whole.full_began_at, whole.progress, whole.swept_at) == (AT, None, None, AT + 20)


def test_failures_put_it_off_longer_each_time_but_never_beyond_the_interval() -> None:
    swept, pauses = NEW, []
    for _ in range(40):
        swept = failed(swept, AT, RHYTHM)
        pauses.append(swept.next_at - AT)
    assert pauses[:3] == [15.0, 30.0, 60.0]
    assert pauses[-1] == HOUR
    assert (swept.swept_at, swept.full_at) == (None, None), "nothing was compared"
    assert done(swept, AT).failures == 0


@hypothesis.given(
    every=st.floats(1, 1e6),
    full_every=st.floats(1, 1e6),
    idle=st.floats(0, 1e9),
    chance=st.floats(0, 1),
    first=st.booleans(),
)
def test_nothing_is_put_off_beyond_what_is_configured(
    every: float, full_every: float, idle: float, chance: float, first: bool
) -> None:
    rhythm = Rhythm(every=every, full_every=full_every)
    swept = Swept(
        repository=Repository("a"),
        found_at=AT,
        next_at=AT,
        full_next_at=AT,
        changed_at=AT - idle,
        full_at=None if first else AT - 1,
    )
    outcome = Outcome(began_at=AT, full_began_at=AT, digests=True, changed=False, gone=0, scope="")
    after = compared(swept, outcome, rhythm, chance)
    slack = 1e-3
    assert min(SOONEST, every) * 0.8 - slack <= after.next_at - AT <= every + slack
    assert full_every / 2 - slack <= after.full_next_at - AT <= full_every + slack
    assert wants_digests(after, AT + full_every + slack, rhythm)
