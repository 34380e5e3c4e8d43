"""When which repository is compared again: often where something changed lately, seldom where nothing did. Pure."""

from dataclasses import dataclass, replace

from replicator.model import Tag
from replicator.store.sweep_rows import Swept

SOONEST = 600.0
"""Seconds between two comparisons of the tags of a repository that has just changed."""
_PATIENCE = 0.1
_SPREAD = 0.125
_AFTER_FAILURE = 15.0
_MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often tags (`every`) and digests (`full_every`) of a repository are compared at the least, in seconds."""

    every: float
    full_every: float

    def tags_after(self, idle: float) -> float:
        """Return how long after a comparison of tags the next is due where nothing changed for `idle` seconds."""
        return _clamp(idle * _PATIENCE, min(SOONEST, self.every), self.every)

    def digests_after(self, idle: float) -> float:
        """Return the same of digests."""
        return _clamp(idle * _PATIENCE, min(self.every, self.full_every), self.full_every)


def wants_digests(swept: Swept, now: float, rhythm: Rhythm) -> bool:
    """Say whether digests are to be compared along with the tags."""
    if swept.full_at is None or swept.full_began_at is not None or now >= swept.full_next_at:
        return True
    return now >= swept.full_at + rhythm.digests_after(_idle(swept, now))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A comparison that came to its end: when it began, whether digests were compared, and what it found.

    `full_began_at` is when the comparison of digests began that ends with it, perhaps in a former life.
    `changed` says that something had changed that no webhook told of, `gone` how many tags replicas hold too many.
    """

    began_at: float
    full_began_at: float
    digests: bool
    changed: bool
    gone: int
    scope: str


def compared(swept: Swept, outcome: Outcome, rhythm: Rhythm, chance: float) -> Swept:
    """Return where the repository stands after a comparison; `chance` (0 to 1) spreads them over their interval."""
    began = outcome.began_at
    changed_at = began if outcome.changed else swept.changed_at
    swept = replace(
        swept,
        changed_at=changed_at,
        swept_at=began,
        next_at=began + _spread(rhythm.tags_after(_idle_since(changed_at, began)), chance),
        scope=outcome.scope,
        gone=outcome.gone,
        failures=0,
    )
    if not outcome.digests:
        return swept
    # All repositories are first compared at the same time, which must not stay so.
    interval = rhythm.full_every * (1 - chance / 2) if swept.full_at is None else _spread(rhythm.full_every, chance)
    return replace(
        swept, full_at=outcome.full_began_at, full_next_at=began + interval, full_began_at=None, progress=None
    )


def under_way(swept: Swept, began_at: float, progress: Tag) -> Swept:
    """Return where the repository stands when all digests up to the tag `progress` are compared."""
    began = began_at if swept.full_began_at is None else swept.full_began_at
    return replace(swept, full_began_at=began, progress=progress)


def failed(swept: Swept, now: float, rhythm: Rhythm) -> Swept:
    """Return where the repository stands after a comparison that failed: tried again later and later."""
    pause = min(rhythm.every, _AFTER_FAILURE * 2.0 ** min(swept.failures, _MOST_DOUBLINGS))
    return replace(swept, next_at=now + pause, failures=swept.failures + 1)


def _idle(swept: Swept, now: float) -> float:
    return _idle_since(swept.changed_at, now)


def _idle_since(changed_at: float | None, now: float) -> float:
    return float("inf") if changed_at is None else max(0.0, now - changed_at)


def _spread(interval: float, chance: float) -> float:
    return interval * (1 - chance * _SPREAD)


def _clamp(value: float, least: float, most: float) -> float:
    return max(least, min(most, value))
