"""What the copying bench found, group by group: ratios, floors, targets; kept as JSON between calls."""

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.registries import Work
from tests.bench.runs import Run, Used
from tests.bench.stand import CONNECTIONS, LONG, Place

DAEMON = "daemon"
CLEAN = "daemon, store clean"
"""The daemon where the events name the digests that its store has already."""
TARGETS: dict[tuple[str, int, Place], float] = {
    ("a", 1, Place.LAN): 0.75,
    ("a", 3, Place.LAN): 0.6,
    ("b", 1, Place.LAN): 0.55,
    ("b", 3, Place.LAN): 0.45,
    ("c", 1, Place.LAN): 0.2,
    ("c", 3, Place.LAN): 0.15,
    **{(case, to, Place.LAN): most for case, most in (("d", 0.15), ("d-clean", 0.02)) for to in (1, 3)},
    **{(case, to, Place.REPLICAS): most for case, most in (("a", 0.3), ("b", 0.15), ("c", 0.02)) for to in (1, 3)},
    **{("a", to, Place.PRIMARY): 0.3 for to in (1, 3)},
}
"""Most wall time, as a share of the best peer's: by case, number of replicas and place of the line."""
NEAR = 1.25
"""Within this many times the floor a target counts as reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median, smallest and largest of a figure over the rounds."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return the spread of at least one value."""
        return cls(middle=statistics.median(values), low=min(values), high=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All rounds of one case, to so many replicas, over one kind of line. A round is a run for each contender."""

    case: str
    title: str
    replicas: int
    place: Place
    unique: int
    largest: int
    rounds: tuple[dict[str, Run], ...]

    @property
    def key(self) -> tuple[str, int, Place]:
        """What tells groups apart."""
        return self.case, self.replicas, self.place

    def ours(self) -> Iterator[tuple[str, str]]:
        """Yield the case (`d-clean` beside `d`) and the contender for each row that the group makes."""
        yield self.case, DAEMON
        if CLEAN in self.rounds[0]:
            yield f"{self.case}-clean", CLEAN

    def peers(self) -> list[str]:
        """Return the names of the peers that ran at least once."""
        return [name for name in self.rounds[0] if name not in {DAEMON, CLEAN}]

    def best(self, number: int) -> str | None:
        """Return the peer that was fastest in a round."""
        runs = {name: run for name, run in self.rounds[number].items() if name in self.peers()}
        return min(runs, key=lambda name: runs[name].wall) if runs else None

    def spread(self, name: str, figure: Callable[[Run], float]) -> Spread:
        """Return a figure of one contender."""
        return Spread.of([figure(one[name]) for one in self.rounds if name in one])

    def beside(self, name: str, figure: Callable[[Run], float]) -> tuple[Spread, Spread] | None:
        """Return a figure of the best peers, and the ratios to it, round by round; None without a peer."""
        pairs = [
            (figure(one[name]), figure(one[best]))
            for number, one in enumerate(self.rounds)
            if (best := self.best(number)) is not None
        ]
        if not pairs:
            return None
        return Spread.of([theirs for _, theirs in pairs]), Spread.of(
            [mine / max(theirs, 1e-6) for mine, theirs in pairs]
        )

    def floor(self, run: Run) -> float:
        """Seconds that nobody undercuts: what registries and line need of the cores, or what the line lets through.

        A registry takes a blob over one connection; the primary gives it in ranges over as many as are allowed.
        """
        if self.place is Place.LAN:
            return run.registries_need
        shared = self.unique / (CONNECTIONS * LONG.rate)
        trip = 2 * LONG.delay
        if self.place is Place.PRIMARY:
            return max(run.registries_need, shared + 2 * trip)
        return max(run.registries_need, max(shared, self.largest / LONG.rate) + 3 * trip)


def save(groups: list[Group], path: Path) -> None:
    """Write groups beside those that the file holds; one of the same kind is replaced."""
    kept = {group.key: group for group in load(path)} if path.exists() else {}
    kept |= {group.key: group for group in groups}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(group) for group in kept.values()], indent=1))


def load(path: Path) -> list[Group]:
    """Return the groups that a file holds."""
    return [_group(document) for document in json.loads(path.read_text())]


def _group(document: dict[str, Any]) -> Group:
    rounds = tuple({name: _run(run) for name, run in one.items()} for one in document["rounds"])
    return Group(**{**document, "place": Place(document["place"]), "rounds": rounds})


def _run(document: dict[str, Any]) -> Run:
    parts = {
        "used": Used(**document["used"]),
        "primary": Work(**document["primary"]),
        "replicas": Work(**document["replicas"]),
    }
    return Run(**{**document, **parts})
