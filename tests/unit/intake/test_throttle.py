"""Lines that strangers can cause are written now and then, with the number of those held back."""

from replicator.intake.throttle import Throttle
from tests.support.fake_clock import FakeClock


def test_the_first_of_each_kind_passes_and_the_rest_wait(fake_clock: FakeClock) -> None:
    throttle = Throttle(fake_clock, seconds=10)
    assert throttle.passes("a") == 0
    assert throttle.passes("b") == 0
    assert throttle.passes("a") is None
    fake_clock.advance(9.9)
    assert throttle.passes("a") is None


def test_the_next_line_says_how_many_were_held_back(fake_clock: FakeClock) -> None:
    throttle = Throttle(fake_clock, seconds=10)
    assert [throttle.passes("a") for _ in range(6)] == [0, None, None, None, None, None]
    fake_clock.advance(10)
    assert throttle.passes("a") == 5
    fake_clock.advance(10)
    assert throttle.passes("a") == 0
