"""The daemon beside skopeo, crane and regsync, in one run, by turns: what docs/performance.md tells.

    python -m tests.bench.bench_copy --size small                     (everything in small, to try)
    python -m tests.bench.bench_copy --case a,b --replicas 1,3 --line lan --rounds 5 --save build/copy.json
    python -m tests.bench.bench_copy --tables build/copy.json         (print what was saved once more)

Cases: a one image of 4 x 256 MiB, b 20 images that share layers, c 500 tiny images, d the same with nothing to do.
Lines: lan none; long 40 ms each way and 20 MB/s per connection before every replica; long-primary before the primary.
All contenders copy from one primary to the same replicas, which are emptied before each run. The daemon is started
anew for each run, with an empty store, and copies one small image before it is measured. Results are added to --save.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from tests.bench import tables
from tests.bench.daemon_side import WARM, Delivery, delivery, run_daemon_side, warm_image
from tests.bench.peers import Errand, Peer, find_peers
from tests.bench.registries import MeasuredRegistry
from tests.bench.results import CLEAN, DAEMON, Group, load, save
from tests.bench.runs import Run, Used, measure
from tests.bench.stand import Place, Stand, open_stand
from tests.bench.stores import fill, lacking
from tests.bench.workloads import SIZES, Workload

T = TypeVar("T")
_DROPPED_ABOVE = 1.15
"""A peer that took this many times the time of the best one in the first round is not run again."""
_SECONDS = {"a": (15, 45), "b": (22, 60), "c": (55, 150), "d": (6, 15)}
"""Of a first round in full size to 1 and to 3 replicas on two cores, roughly; a later one takes half of it."""
_LONG_SECONDS = {"a": 65, "b": 110, "c": 70}
_SCALE = {"full": 1.0, "half": 0.5, "small": 0.12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What is measured, and how often."""

    rounds: int
    peers: tuple[Peer, ...] = ()
    profile: Path | None = None
    own_jobs: bool = False
    patient: bool = False

    def peers_for(self, case: str, place: Place) -> list[Peer]:
        """Return the peers that are run: skopeo needs 2.5 s for each tiny image over a long line."""
        too_slow = {"skopeo"} if case == "c" and place is not Place.LAN and not self.patient else set()
        return [peer for peer in self.peers if peer.name not in too_slow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One group to measure: the case, how many replicas, where the line lies."""

    case: str
    replicas: int
    place: Place

    def __str__(self) -> str:
        return f"({self.case}) to {self.replicas}, {self.place}"

    def seconds(self, rounds: int) -> float:
        """Say roughly how long so many rounds take in full size."""
        few, many = _SECONDS[self.case]
        first = few if self.replicas == 1 else many
        if self.place is not Place.LAN:
            first = max(first, _LONG_SECONDS[self.case])
        return first * (1 + (rounds - 1) / 2)


async def run_groups(
    kinds: list[Kind],
    workloads: dict[str, Workload],
    options: Options,
    measured: Callable[[Group], None] = lambda _: None,
) -> list[Group]:
    """Measure one group after the other, with one primary that holds everything; `measured` is told of each."""
    with tempfile.TemporaryDirectory(prefix="bench-copy-") as name:
        folder = Path(name)
        primary = MeasuredRegistry(folder, name="primary")
        try:
            fill(primary.root, WARM, Workload("warm", {"v0": warm_image()}))
            for case, workload in workloads.items():
                fill(primary.root, repository_of(case), workload)
            await primary.start()
            groups = []
            for kind in kinds:
                with open_stand(folder, primary, replicas=kind.replicas, place=kind.place) as stand:
                    errand = Errand(stand, repository_of(kind.case), workloads[kind.case], options.own_jobs)
                    rounds = await (_idle_rounds if kind.case == "d" else _copy_rounds)(errand, kind, options)
                groups.append(_group(kind, workloads[kind.case], rounds))
                measured(groups[-1])
            return groups
        finally:
            primary.discard()


def repository_of(case: str) -> str:
    """Return the repository of a case at the primary."""
    return f"bench/{case}"


async def _copy_rounds(errand: Errand, kind: Kind, options: Options) -> list[dict[str, Run]]:
    """Every contender starts with empty replicas, and is judged by what they hold afterwards."""
    stand, rounds, peers = errand.stand, [], options.peers_for(kind.case, kind.place)
    pushed = delivery(errand.repository, errand.workload, owed=len(stand.replicas) * len(errand.workload.tags))
    for number in range(options.rounds):
        runs: dict[str, Run] = {}
        for peer in _turn([None, *peers], number):
            stand.empty()
            if peer is None:
                runs[DAEMON] = await _by_daemon(stand, pushed, options.profile)
                _judge(errand, DAEMON)
            else:
                with _told_of_failures(peer):
                    run = measure(stand, partial(peer.run, errand))
                    _judge(errand, peer.name)
                    runs[peer.name] = run
        rounds.append(runs)
        peers = _told(str(kind), number, runs, peers)
    return rounds


async def _idle_rounds(errand: Errand, kind: Kind, options: Options) -> list[dict[str, Run]]:
    """Everything is in place before; the daemon has looked at it once, as after any copy."""
    stand, rounds, peers = errand.stand, [], options.peers_for(kind.case, kind.place)
    for replica in stand.replicas:
        fill(replica.root, errand.repository, errand.workload)
    owed = len(stand.replicas) * len(errand.workload.tags)
    unsaid = delivery(errand.repository, errand.workload, owed=owed, digests=False)
    known = delivery(errand.repository, errand.workload, owed=0)
    async with run_daemon_side(stand, profile=options.profile) as side:
        side.take(unsaid)
        deliveries: dict[str, Delivery] = {DAEMON: unsaid, CLEAN: known}
        for number in range(options.rounds):
            runs: dict[str, Run] = {}
            actions = {name: partial(side.take, what) for name, what in deliveries.items()}
            actions |= {peer.name: partial(peer.run, errand) for peer in peers}
            for name in _turn(list(actions), number):
                runs[name] = measure(stand, actions[name])
            rounds.append(runs)
            peers = _told(str(kind), number, runs, peers)
    _judge(errand, "everybody")
    return rounds


async def _by_daemon(stand: Stand, pushed: Delivery, profile: Path | None) -> Run:
    async with run_daemon_side(stand, profile=profile) as side:
        action: partial[Used] = partial(side.take, pushed)
        return measure(stand, action)


def _turn(contenders: list[T], number: int) -> list[T]:
    """Return the order of a round: each starts once in a while, and each comes before and after each other."""
    start = number % len(contenders)
    turned = contenders[start:] + contenders[:start]
    return turned[::-1] if number % 2 else turned


@contextmanager
def _told_of_failures(peer: Peer) -> Iterator[None]:
    """Let a peer fail, which is left out from then on; the daemon must not."""
    try:
        yield
    except AssertionError as error:
        print(f"{peer.name} failed and is left out: {error}", file=sys.stderr, flush=True)


def _judge(errand: Errand, name: str) -> None:
    for replica in errand.stand.replicas:
        wrong = lacking(replica.root, errand.repository, errand.workload)
        if wrong:
            raise AssertionError(f"{name} left {len(wrong)} tags of {replica.name} incomplete: {wrong[:5]}")


def _told(title: str, number: int, runs: dict[str, Run], peers: list[Peer]) -> list[Peer]:
    """Say what a round gave, and return the peers that are run again."""
    walls = "  ".join(f"{name} {run.wall:.2f} s" for name, run in runs.items())
    print(f"{title}, round {number + 1}: {walls}", file=sys.stderr, flush=True)
    left = [peer for peer in peers if peer.name in runs]
    limit = _DROPPED_ABOVE * min((runs[peer.name].wall for peer in left), default=0.0)
    return left if number else [peer for peer in left if runs[peer.name].wall <= limit]


def _group(kind: Kind, workload: Workload, rounds: list[dict[str, Run]]) -> Group:
    return Group(
        case=kind.case,
        title=workload.title,
        replicas=kind.replicas,
        place=kind.place,
        unique=workload.unique_bytes,
        largest=workload.largest,
        rounds=tuple(rounds),
    )


async def _main(arguments: argparse.Namespace) -> None:
    if arguments.tables is not None:
        _print(load(arguments.tables))
        return
    peers, missing = find_peers(arguments.peers.split(",") if arguments.peers else [])
    for name in missing:
        print(f"{name} is not here: measured without it", file=sys.stderr)
    kinds = [
        Kind(case=case, replicas=int(replicas), place=Place(place))
        for place in arguments.line.split(",")
        for case in arguments.case.split(",")
        for replicas in arguments.replicas.split(",")
        if _makes_sense(case, Place(place))
    ]
    workloads = {case: SIZES[arguments.size][case]() for case in dict.fromkeys(kind.case for kind in kinds)}
    rounds = arguments.rounds or (2 if arguments.size == "small" else 5)
    minutes = sum(kind.seconds(rounds) for kind in kinds) * _SCALE[arguments.size] / 60
    print(f"{len(kinds)} groups, {rounds} rounds each: about {max(1, round(minutes))} minutes", file=sys.stderr)
    options = Options(
        rounds=rounds,
        peers=tuple(peers),
        profile=arguments.profile,
        own_jobs=arguments.own_jobs,
        patient=arguments.patient,
    )

    def keep(group: Group) -> None:
        if arguments.save is not None:
            save([group], arguments.save)

    _print(await run_groups(kinds, workloads, options, keep))


def _makes_sense(case: str, place: Place) -> bool:
    """Nothing to do over a long line, and many images from a far primary, show nothing that the others do not."""
    return place is Place.LAN or (case != "d" and (place is Place.REPLICAS or case == "a"))


def _print(groups: list[Group]) -> None:
    print(f"\n{tables.legend(groups)}\n\n{tables.tables(groups)}")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", default="a,b,c,d")
    parser.add_argument("--replicas", default="1,3")
    parser.add_argument("--line", default="lan,long,long-primary")
    parser.add_argument("--rounds", type=int, help="5, or 2 in small")
    parser.add_argument("--size", choices=SIZES, default="full", help="of what is copied")
    parser.add_argument("--peers", default="skopeo,crane,regsync", help="which to run, if they are here")
    parser.add_argument("--own-jobs", action="store_true", help="peers choose how many images they copy at once")
    parser.add_argument("--patient", action="store_true", help="run skopeo even where it takes 20 minutes")
    parser.add_argument("--save", type=Path, help="a JSON file to add the results to")
    parser.add_argument("--tables", type=Path, help="print the results of such a file and measure nothing")
    parser.add_argument("--profile", type=Path, help="where cProfile's figures of the daemon go (it is slower then)")
    anyio.run(_main, parser.parse_args())


if __name__ == "__main__":
    main()
