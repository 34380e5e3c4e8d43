"""When a failure is tried again, when it is parked, and when a lane may work."""

import pytest

from replicator.errors import (
    AccessDenied,
    ContentError,
    ManifestNotTaken,
    NotFound,
    Reason,
    ReferrersNotTold,
    RegistryError,
    ReplicatorError,
    StoreError,
)
from replicator.retry import (
    LOOKS,
    PARKED_RETRY,
    RETRY_AFTER_MAX,
    Again,
    Breaker,
    Failure,
    RetryPolicy,
    after_failure,
    look_delay,
)

POLICY = RetryPolicy()
NOW = 1_700_000_000.0
PEER_DOWN = [Reason.NETWORK, Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.TLS]
PEER_UP = sorted(set(Reason) - set(PEER_DOWN))


def registry_error(
    reason: Reason = Reason.NETWORK, *, temporary: bool = True, retry_after: float | None = None
) -> RegistryError:
    return RegistryError("x", registry="eu", reason=reason, temporary=temporary, retry_after=retry_after)


def decide(
    error: ReplicatorError, *, attempts: int = 0, failing_for: float | None = None, chance: float = 0.5
) -> Again:
    since = None if failing_for is None else NOW - failing_for
    return after_failure(Failure(error=error, attempts=attempts, failing_since=since, now=NOW), POLICY, chance)


@pytest.mark.parametrize(
    ("attempts", "ceiling"), [(0, 1.0), (1, 2.0), (2, 4.0), (8, 256.0), (9, 300.0), (50, 300.0), (10**6, 300.0)]
)
def test_pauses_double_up_to_the_longest_and_use_their_whole_length(attempts: int, ceiling: float) -> None:
    latest = decide(registry_error(), attempts=attempts, chance=0.999_999).at - NOW
    earliest = decide(registry_error(), attempts=attempts, chance=0.0).at - NOW
    assert latest == pytest.approx(ceiling, rel=1e-3)
    assert earliest == POLICY.first / 2, "never at once: a quick failure must not become a storm"


@pytest.mark.parametrize(("wish", "kept"), [(0.0, 0.0), (30.0, 30.0), (RETRY_AFTER_MAX * 100, RETRY_AFTER_MAX)])
def test_the_wish_of_a_peer_is_honoured_within_bounds(wish: float, kept: float) -> None:
    error = registry_error(Reason.RATE_LIMITED, retry_after=wish)
    assert decide(error, attempts=9, chance=0.0) == Again(NOW + kept, parked=False)
    assert NOW + kept < decide(error, chance=0.9).at <= NOW + kept + POLICY.first, "not all at the same moment"


def test_a_wish_from_the_past_is_now() -> None:
    assert decide(registry_error(retry_after=-50.0), chance=0.0).at == NOW


def test_a_day_of_failures_parks_and_less_does_not() -> None:
    assert not decide(registry_error(), attempts=99, failing_for=POLICY.park_after - 1).parked
    parked = decide(registry_error(), attempts=99, failing_for=POLICY.park_after)
    assert parked.parked
    assert NOW + PARKED_RETRY <= parked.at <= NOW + PARKED_RETRY * 1.1
    assert decide(registry_error(retry_after=1.0), failing_for=POLICY.park_after).parked, "wishes do not unpark"
    assert not decide(registry_error(), failing_for=-500.0).parked, "a clock that went back"


def test_parked_tries_are_spread() -> None:
    error = registry_error(Reason.UNSUPPORTED, temporary=False)
    assert decide(error, chance=0.0).at < decide(error, chance=0.9).at


@pytest.mark.parametrize("reason", sorted(set(Reason) - {Reason.AUTH, Reason.DIGEST_MISMATCH, Reason.NOT_FOUND}))
def test_what_will_not_mend_itself_is_parked_at_once(reason: Reason) -> None:
    found = decide(registry_error(reason, temporary=False))
    assert found.parked
    assert found.at >= NOW + PARKED_RETRY


@pytest.mark.parametrize(
    "error",
    [
        ContentError("x", registry="primary"),
        NotFound("x", registry="primary", reason=Reason.NOT_FOUND),
    ],
)
def test_bytes_that_were_hurt_or_deleted_on_the_way_get_three_tries(error: ReplicatorError) -> None:
    assert [decide(error, attempts=attempts).parked for attempts in range(4)] == [False, False, True, True]


def test_a_malformed_manifest_gets_one_try() -> None:
    assert decide(ContentError("x", registry="primary", reason=Reason.UNSUPPORTED)).parked


def test_a_login_that_failed_is_no_storm_and_not_forgotten_for_an_hour() -> None:
    denied = AccessDenied("x", registry="eu", reason=Reason.AUTH)
    first, later = decide(denied, chance=0.0), decide(denied, attempts=50, chance=0.9)
    assert first.parked
    assert later.parked
    assert NOW + 300.0 <= first.at < later.at <= NOW + 330.0


def test_a_store_that_fails_is_tried_again() -> None:
    assert not decide(StoreError("x")).parked


def test_looks_come_slower_and_end() -> None:
    delays = [look_delay(looks) for looks in range(len(LOOKS) + 2)]
    assert delays == [*LOOKS, None, None]
    assert sorted(LOOKS) == list(LOOKS)


# Breaker


def tripped(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(3):
        breaker = breaker.failed(registry_error(), now, POLICY, 0.5)
    return breaker


def test_a_closed_breaker_gives_every_slot() -> None:
    breaker = Breaker()
    assert [breaker.room(0.0, working, 16) for working in (0, 5, 16)] == [16, 11, 0]


@pytest.mark.parametrize("reason", PEER_DOWN)
def test_three_failures_in_a_row_open_it(reason: Reason) -> None:
    breaker = Breaker()
    seen = []
    for _ in range(3):
        breaker = breaker.failed(registry_error(reason), 0.0, POLICY, 0.5)
        seen.append(breaker.tripped)
    assert seen == [False, False, True]
    assert [breaker.room(breaker.open_until - 0.01, working, 16) for working in (0, 3)] == [0, 0]


def test_half_open_it_lets_one_probe_through() -> None:
    breaker = tripped()
    assert breaker.room(breaker.open_until, 0, 16) == 1
    assert breaker.room(breaker.open_until + 1e9, 1, 16) == 0


def test_success_closes_it() -> None:
    breaker = tripped().succeeded()
    assert (breaker, breaker.room(0.0, 0, 16)) == (Breaker(), 16)


@pytest.mark.parametrize("reason", PEER_UP)
def test_an_answer_of_a_peer_closes_it_too(reason: Reason) -> None:
    """Two failures and a refusal: whoever refuses is there."""
    breaker = Breaker()
    for _ in range(2):
        breaker = breaker.failed(registry_error(), 0.0, POLICY, 0.5)
    assert breaker.failed(registry_error(reason, temporary=False), 0.0, POLICY, 0.5) == Breaker()
    assert tripped().failed(registry_error(reason, temporary=False), 0.0, POLICY, 0.5) == Breaker()


@pytest.mark.parametrize("kind", [ManifestNotTaken, ReferrersNotTold])
def test_a_server_error_about_one_thing_does_not_open_it(kind: type[RegistryError]) -> None:
    """A registry that is up answers 500 to a manifest it may not take; the other tags of its lane must not wait."""
    refused = kind("x", registry="eu", reason=Reason.SERVER_ERROR, temporary=True, status=500)
    breaker = Breaker()
    for _ in range(9):
        breaker = breaker.failed(refused, 0.0, POLICY, 0.5)
    assert breaker == Breaker()
    assert not decide(refused).parked
    assert decide(refused, attempts=99, failing_for=POLICY.park_after).parked


def test_all_that_was_under_way_when_the_peer_went_down_counts_once() -> None:
    breaker = tripped()
    for _ in range(100):
        assert breaker.failed(registry_error(), breaker.open_until - 0.01, POLICY, 0.9) == breaker


def test_failed_probes_come_slower_and_never_more_than_thirty_seconds_apart() -> None:
    breaker, pauses = tripped(), []
    for _ in range(12):
        now = breaker.open_until
        breaker = breaker.failed(registry_error(), now, POLICY, 0.999_999)
        pauses.append(breaker.open_until - now)
    assert pauses == pytest.approx(sorted(pauses))
    assert pauses[0] == pytest.approx(2.0, rel=1e-3)
    assert pauses[-1] == pytest.approx(30.0, rel=1e-3)


def test_a_probe_comes_no_later_than_the_longest_pause_of_the_policy() -> None:
    policy, breaker, now = RetryPolicy(first=0.1, max=2.0), Breaker(), 0.0
    for _ in range(20):
        now = breaker.open_until
        breaker = breaker.failed(registry_error(), now, policy, 0.9)
    assert breaker.open_until - now <= 2.0
