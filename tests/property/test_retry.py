"""Whatever fails, it is tried again: not at once, not never."""

from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import Reason, RegistryError
from replicator.retry import PARKED_RETRY, RETRY_AFTER_MAX, Breaker, Failure, RetryPolicy, after_failure

CHANCE = st.floats(0, 1, exclude_max=True)
SECONDS = st.floats(0, 1e7)
POLICIES = st.builds(
    lambda first, more, park: RetryPolicy(first=first, max=first + more, park_after=park),
    st.floats(0.01, 60),
    st.floats(0, 3600),
    st.floats(1, 1e6),
)
ERRORS = st.builds(
    lambda reason, temporary, wish: RegistryError(
        "x", registry="eu", reason=reason, temporary=temporary, retry_after=wish
    ),
    st.sampled_from(Reason),
    st.booleans(),
    st.none() | st.floats(-10, 1e9),
)


@given(
    error=ERRORS,
    policy=POLICIES,
    attempts=st.integers(0, 10**9),
    failing_for=st.none() | SECONDS,
    now=st.floats(1e9, 2e9),
    chance=CHANCE,
)
def test_the_next_try_is_bounded(
    error: RegistryError,
    policy: RetryPolicy,
    attempts: int,
    failing_for: float | None,
    now: float,
    chance: float,
) -> None:
    since = None if failing_for is None else now - failing_for
    again = after_failure(Failure(error=error, attempts=attempts, failing_since=since, now=now), policy, chance)
    wait, rounding = again.at - now, 1e-5
    longest = max(policy.max, PARKED_RETRY, RETRY_AFTER_MAX, 300.0) * 1.1 + policy.first
    assert -rounding <= wait <= longest + rounding
    if error.retry_after is None:
        assert wait >= policy.first / 2 - rounding
    elif not again.parked:
        assert wait >= min(max(error.retry_after, 0.0), RETRY_AFTER_MAX) - rounding


@given(st.lists(st.tuples(st.sampled_from(["down", "up", "refused"]), st.floats(0, 100), CHANCE)), POLICIES)
def test_a_breaker_never_stays_open(steps: list[tuple[str, float, float]], policy: RetryPolicy) -> None:
    """From any history, a probe is allowed within thirty seconds, and one answer gives all slots back."""
    breaker, now = Breaker(), 0.0
    for what, passed, chance in steps:
        now += passed
        if what == "up":
            breaker = breaker.succeeded()
        else:
            reason = Reason.NETWORK if what == "down" else Reason.UNSUPPORTED
            breaker = breaker.failed(RegistryError("x", registry="eu", reason=reason), now, policy, chance)
        assert breaker.room(now + 30.0 + policy.first, 0, 8) >= 1
        assert breaker.succeeded().room(now, 0, 8) == 8
        assert 0 <= breaker.room(now, 3, 8) <= 5
