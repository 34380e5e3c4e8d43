"""The results of the copying bench as Markdown, ready for docs/performance.md."""

from collections.abc import Iterator, Sequence

from tests.bench.results import NEAR, TARGETS, Group, Spread
from tests.bench.runs import Run
from tests.bench.stand import Place

_MIB = 1024 * 1024
_WHICH = ("case", "to", "long line on side")
_TIMES = (
    *_WHICH,
    *("daemon", "best peer", "ratio (min to max)", "target", "floor", "daemon / floor", "reached"),
)
_COSTS = (
    *_WHICH,
    *("client CPU: daemon", "peer", "ratio (min to max)"),
    *("peak memory: daemon above idle", "peer"),
    *("requests at primary + replicas: daemon", "peer"),
    *("read from the primary: daemon", "peer"),
)
_LINES = {Place.LAN: "none", Place.REPLICAS: "replicas'", Place.PRIMARY: "primary's"}


def tables(groups: Sequence[Group]) -> str:
    """Return three tables: time beside the best peer, target and floor; what it cost; every peer."""
    times = _table(_TIMES, (row for group in groups for row in _times(group)))
    costs = _table(_COSTS, (row for group in groups for row in _costs(group)))
    names = list(dict.fromkeys(name for group in groups for name in group.peers()))
    peers = _table(
        (*_WHICH, *names, "CPU used by others, at most"),
        (_peers(group, names) for group in groups),
    )
    return f"{times}\n\n{costs}\n\n{peers}"


def legend(groups: Sequence[Group]) -> str:
    """Return what the letters stand for."""
    titles = dict.fromkeys((group.case, group.title) for group in groups)
    return "; ".join(f"({case}) {title}" for case, title in titles)


def _times(group: Group) -> Iterator[tuple[str, ...]]:
    for case, name in group.ours():
        wall = group.spread(name, lambda run: run.wall)
        beside = group.beside(name, lambda run: run.wall)
        target = TARGETS.get((case, group.replicas, group.place))
        floors = [group.floor(one[name]) for one in group.rounds]
        over = Spread.of([one[name].wall / max(floor, 1e-6) for one, floor in zip(group.rounds, floors, strict=True)])
        # Where the registries are not asked at all there is no floor to speak of.
        floor = Spread.of(floors).middle
        shown = floor > 0.02
        near = shown and over.middle <= NEAR
        reached = ""
        if target is not None and beside is not None:
            reached = "yes" if beside[1].middle <= target else "by the floor" if near else "no"
        yield (
            *_head(case, group),
            _seconds(wall.middle),
            "" if beside is None else f"{_best(group)} {_seconds(beside[0].middle)}",
            "" if beside is None else _ratio(beside[1]),
            "" if target is None else f"{target:g}",
            _seconds(floor) if shown else "",
            f"{over.middle:.2f}" if shown else "",
            reached,
        )


def _costs(group: Group) -> Iterator[tuple[str, ...]]:
    def cell(name: str | None, figure: str) -> str:
        return "" if name is None else _cost(group, name, figure)

    for case, name in group.ours():
        beside = group.beside(name, lambda run: run.used.cpu)
        peer = _best(group) if beside is not None else None
        yield (
            *_head(case, group),
            _seconds(group.spread(name, lambda run: run.used.cpu).middle),
            "" if beside is None else f"{peer} {_seconds(beside[0].middle)}",
            "" if beside is None else _ratio(beside[1]),
            *(cell(who, "memory") for who in (name, peer)),
            *(cell(who, "requests") for who in (name, peer)),
            *(cell(who, "read") for who in (name, peer)),
        )


def _cost(group: Group, name: str, figure: str) -> str:
    if figure == "memory":
        return f"{group.spread(name, lambda run: run.used.memory).high / _MIB:.0f} MiB"
    if figure == "requests":
        primary = group.spread(name, lambda run: run.primary.requests).middle
        replicas = group.spread(name, lambda run: run.replicas.requests).middle
        return f"{primary:.0f} + {replicas:.0f}"
    if group.case == "d":
        return f"{group.spread(name, lambda run: run.primary.given).middle / 1024:.0f} KiB"
    read = group.spread(name, lambda run: run.primary.given / group.unique)
    return f"{read.middle:.2f} x ({read.low:.2f} to {read.high:.2f})"


def _peers(group: Group, names: Sequence[str]) -> tuple[str, ...]:
    def cell(name: str) -> str:
        runs = [one[name] for one in group.rounds if name in one]
        if not runs:
            return ""
        once = " (once)" if len(runs) == 1 < len(group.rounds) else ""
        return f"{_seconds(Spread.of([run.wall for run in runs]).middle)}{once}"

    everything: list[Run] = [run for one in group.rounds for run in one.values()]
    other = max(run.other for run in everything)
    return (*_head(group.case, group), *map(cell, names), f"{100 * other:.0f} %")


def _best(group: Group) -> str:
    """Return the peer that was best most often."""
    wins = [best for number in range(len(group.rounds)) if (best := group.best(number)) is not None]
    return max(dict.fromkeys(wins), key=wins.count)


def _head(case: str, group: Group) -> tuple[str, str, str]:
    return f"({case})", str(group.replicas), _LINES[group.place]


def _seconds(value: float) -> str:
    return f"{value:.3f} s" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.1f} s"


def _ratio(spread: Spread) -> str:
    digits = 3 if spread.middle < 0.1 else 2
    return f"{spread.middle:.{digits}f} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def _table(head: Sequence[str], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
