"""When a message is tried again, and when it is dropped: bounds that hold for any history."""

from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import Reason
from replicator.notify.verdicts import DAY, LONGEST, DeliveryFailed, Verdict, after_failure
from replicator.observability.labels import NotificationResult

AT = 1_700_000_000.0
CHANCE = st.floats(0, 1, exclude_max=True)


def failed(status: int = 0, retry_after: float | None = None) -> DeliveryFailed:
    return DeliveryFailed("no", reason=Reason.OTHER, status=status, retry_after=retry_after)


def decide(error: DeliveryFailed, *, attempts: int = 0, age: float = 0.0, chance: float = 0.5) -> Verdict:
    return after_failure(error, attempts=attempts, created_at=AT - age, now=AT, chance=chance)


@given(
    attempts=st.integers(0, 10_000),
    chance=CHANCE,
    wish=st.none() | st.floats(1, LONGEST),
    age=st.floats(0, 2 * DAY),
    status=st.sampled_from([0, 301, 400, 401, 404, 429, 500, 503]),
)
def test_it_is_tried_again_within_bounds_for_a_day(
    attempts: int, chance: float, wish: float | None, age: float, status: int
) -> None:
    verdict = decide(failed(status, wish), attempts=attempts, age=age, chance=chance)
    if verdict.at is None:
        assert verdict.result is NotificationResult.EXPIRED
        assert age >= DAY - LONGEST - 1e-6
    else:
        assert verdict.result is NotificationResult.FAILED
        assert 0.5 <= verdict.at - AT <= LONGEST + 1e-6
        assert verdict.at - AT >= (wish or 0) - 1e-6
        assert verdict.at - (AT - age) < DAY


def test_pauses_grow_and_are_spread_over_their_whole_length() -> None:
    longest = [decide(failed(), attempts=attempts, chance=0.999999).at for attempts in range(12)]
    assert [round((at or 0) - AT) for at in longest] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    assert decide(failed(), attempts=9, chance=0.1).at == AT + 51.2


def test_410_wants_no_more() -> None:
    assert decide(failed(410)) == Verdict(NotificationResult.GONE)


def test_what_is_about_one_message_does_not_say_that_a_receiver_is_down() -> None:
    assert {status for status in range(600) if failed(status).is_about_message} == {400, 409, 410, 413, 422}
