"""Room for the urgent: the two ways to ask agree, and what is urgent always finds a place in time."""

from hypothesis import given
from hypothesis import strategies as st

from replicator.model import Priority
from replicator.shares import has_room, most, room

_HELD = st.dictionaries(st.sampled_from(list(Priority)), st.integers(0, 40))


@given(st.integers(1, 64), _HELD)
def test_one_more_has_room_where_room_is_left(total: int, held: dict[Priority, int]) -> None:
    free = room(total, held)
    assert {one: has_room(total, held, one) for one in Priority} == {one: free[one] > 0 for one in Priority}


@given(st.integers(1, 64), _HELD)
def test_what_is_less_urgent_has_never_more_room(total: int, held: dict[Priority, int]) -> None:
    free = room(total, held)
    assert free[Priority.HIGH] >= free[Priority.NORMAL] >= free[Priority.LOW] >= 0


@given(st.integers(2, 64), st.lists(st.sampled_from(list(Priority)), max_size=100))
def test_taking_as_long_as_there_is_room_keeps_what_is_kept_for_the_urgent(total: int, wants: list[Priority]) -> None:
    held = dict.fromkeys(Priority, 0)
    for priority in wants:
        if has_room(total, held, priority):
            held[priority] += 1
    assert sum(held.values()) <= total
    assert held[Priority.NORMAL] + held[Priority.LOW] <= most(total, Priority.NORMAL)
    assert held[Priority.LOW] <= most(total, Priority.LOW)


@given(st.integers(2, 64), st.integers(0, 100), st.integers(0, 100))
def test_a_total_that_shrank_leaves_the_urgent_what_is_kept_for_them(total: int, low: int, normal: int) -> None:
    held = {Priority.LOW: low, Priority.NORMAL: normal}
    assert has_room(total, held, Priority.HIGH)
    if most(total, Priority.LOW) < most(total, Priority.NORMAL):
        assert has_room(total, {Priority.LOW: low}, Priority.NORMAL)
