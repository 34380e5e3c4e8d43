"""A peer that moves almost nothing is as good as gone; one on a slow line is not."""

from replicator.registry.progress import FLOOR, SLOW, WHOLE, Arrivals, Strides


def test_f35_a_read_below_the_floor_for_too_long_is_stalled() -> None:
    arrivals = Arrivals(60)
    assert not any(arrivals.stalled(1, 1.0) for _ in range(59))
    assert arrivals.stalled(1, 1.0)


def test_a_read_above_the_floor_goes_on_however_long_it_takes() -> None:
    arrivals = Arrivals(60)
    assert not any(arrivals.stalled(FLOOR, 1.0) for _ in range(1000))


def test_what_came_quickly_long_ago_does_not_count_for_ever() -> None:
    arrivals = Arrivals(60)
    assert not arrivals.stalled(100 * WHOLE, 0.1)
    assert [arrivals.stalled(1, 30.0) for _ in range(4)] == [False, False, False, True]


def test_the_time_that_the_reader_takes_for_itself_does_not_count() -> None:
    arrivals = Arrivals(60)
    assert not any(arrivals.stalled(1, 0.0) for _ in range(10_000))


def test_a_slow_line_gets_small_pieces_until_it_has_been_quick_for_long() -> None:
    strides = Strides()
    strides.took(WHOLE, 1.0)
    assert strides.size == WHOLE
    strides.took(WHOLE, 3.0)
    assert strides.size == SLOW
    for _ in range(63):
        strides.took(SLOW, 0.0)
    assert strides.size == SLOW
    strides.took(SLOW, 0.0)
    assert strides.size == WHOLE


def test_last_pieces_say_nothing_of_the_line() -> None:
    strides = Strides()
    strides.took(WHOLE, 3.0)
    for _ in range(100):
        strides.took(10, 0.0)
    assert strides.size == SLOW
