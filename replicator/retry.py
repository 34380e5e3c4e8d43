"""A failure -> when to try again, and whether to park; how soon to look again; when a lane may work. Pure.

The adapters never retry on their own beyond one fresh login, and short pauses that a registry asks for: long retries
have this single owner.
"""

from dataclasses import dataclass, replace
from typing import Final

from replicator.errors import ManifestNotTaken, Reason, ReferrersNotTold, ReplicatorError

PARKED_RETRY: Final = 3600.0
"""Seconds between tries of a parked intent."""
RETRY_AFTER_MAX: Final = 900.0
"""Longest wish of a peer that is honoured, seconds."""
LOOKS: Final = (0.25, 2.0, 15.0, 120.0)
"""Seconds to wait before each look at a primary whose tag did not yet name what its event said."""
_TRIPS_AFTER = 3
_PROBE_MAX = 30.0
_AUTH_PAUSE = 300.0
_CONTENT_TRIES = 3
# Not AUTH: a right may be missing for one repository only, and its neighbours must not wait for it.
_PEER_DOWN = frozenset({Reason.NETWORK, Reason.TIMEOUT, Reason.SERVER_ERROR, Reason.TLS})


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`first` and `max` pause between tries, and the age at which a failing intent is parked; all in seconds."""

    first: float = 1.0
    max: float = 300.0
    park_after: float = 86_400.0


@dataclass(frozen=True, slots=True)
class Again:
    """Try again at `at` (Unix seconds); `parked` says that an operator should look."""

    at: float
    parked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What is known when an attempt failed: the error, failures before it, when the first was, and now."""

    error: ReplicatorError
    attempts: int
    failing_since: float | None
    now: float


def after_failure(failure: Failure, policy: RetryPolicy, chance: float) -> Again:
    """Decide when to try again. `chance` in [0, 1) spreads tries over the whole pause (full jitter).

    Temporary errors back off exponentially, or as long as the peer wished; a digest that does not match is fetched
    again twice (the bytes may have been hurt on the way); everything else is parked at once and tried hourly.
    """
    error, now = failure.error, failure.now
    if error.reason is Reason.AUTH:
        return Again(now + max(_AUTH_PAUSE, policy.max) * (1 + 0.1 * chance), parked=True)
    mends_itself = error.temporary or (
        error.reason in {Reason.DIGEST_MISMATCH, Reason.NOT_FOUND} and failure.attempts + 1 < _CONTENT_TRIES
    )
    started = now if failure.failing_since is None else failure.failing_since
    if not mends_itself or now - started >= policy.park_after:
        return Again(now + PARKED_RETRY * (1 + 0.1 * chance), parked=True)
    if error.retry_after is not None:
        wish = min(max(error.retry_after, 0.0), RETRY_AFTER_MAX)
        return Again(now + wish + policy.first * chance, parked=False)
    return Again(now + _pause(policy.first, policy.max, failure.attempts, chance), parked=False)


def look_delay(looks: int) -> float | None:
    """Return the seconds until look number `looks` + 1, or None when the primary was looked at often enough."""
    return LOOKS[looks] if looks < len(LOOKS) else None


def _pause(first: float, longest: float, failures: int, chance: float) -> float:
    ceiling = min(longest, first * 2.0 ** min(failures, 40))
    # Not down to zero: at least half the first pause, so that a quick failure cannot become a storm.
    return max(first / 2, ceiling * chance)


@dataclass(frozen=True, slots=True)
class Breaker:
    """Whether a lane may work: closed, open until `open_until` (monotonic seconds), or half-open with one probe."""

    failures: int = 0
    open_until: float = 0.0

    @property
    def tripped(self) -> bool:
        """True from the third failure in a row until a success."""
        return self.failures >= _TRIPS_AFTER

    def room(self, now: float, working: int, slots: int) -> int:
        """Return how many more intents may be leased while `working` of `slots` are busy."""
        if not self.tripped:
            return slots - working
        return 1 if now >= self.open_until and working == 0 else 0

    def probing_now(self) -> "Breaker":
        """Let the next probe go at once: somebody says that it is mended."""
        return replace(self, open_until=0.0)

    def succeeded(self) -> "Breaker":
        """Close: the peers answered."""
        return self if self.failures == 0 else Breaker()

    def failed(self, error: ReplicatorError, now: float, policy: RetryPolicy, chance: float) -> "Breaker":
        """Count a failure that says a peer is down; anything else says that it is up."""
        if error.reason not in _PEER_DOWN or isinstance(error, ManifestNotTaken | ReferrersNotTold):
            return self.succeeded()
        if self.tripped and now < self.open_until:
            return self  # one of many that were under way when the peer went down
        failures = self.failures + 1
        longest = min(policy.max, _PROBE_MAX)
        pause = _pause(policy.first, longest, max(0, failures - _TRIPS_AFTER), 0.5 + chance / 2)
        return replace(self, failures=failures, open_until=max(self.open_until, now + pause))
