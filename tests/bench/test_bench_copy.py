"""The copying bench itself, on a few small images: it runs, it judges, and its figures are what they are called."""

from pathlib import Path

import pytest

from tests.bench.bench_copy import Kind, Options, run_groups
from tests.bench.peers import find_peers
from tests.bench.registries import Work
from tests.bench.results import CLEAN, DAEMON, Group, load, save
from tests.bench.runs import Run, Used
from tests.bench.stand import LONG, Place
from tests.bench.stores import fill, lacking
from tests.bench.tables import tables
from tests.bench.workloads import one_big, sharing, tiny

MIB = 1024 * 1024


async def test_a_whole_run() -> None:
    kinds = [Kind(case="a", replicas=1, place=Place.REPLICAS), Kind(case="d", replicas=1, place=Place.LAN)]
    peers, missing = find_peers(["skopeo"])
    assert missing == []
    workloads = {"a": one_big(1, 1), "d": tiny(2)}
    far, idle = await run_groups(kinds, workloads, Options(rounds=1, peers=tuple(peers)))

    (runs,) = far.rounds
    assert set(runs) == {DAEMON, "skopeo"}
    assert {name: run.primary.given for name, run in runs.items()} == dict.fromkeys(runs, far.unique)
    # A manifest is read, the layer and the config; a replica takes each blob by two requests.
    assert runs[DAEMON].primary.requests == 3
    assert runs[DAEMON].replicas.requests >= 2 * 2 + 1
    assert runs["skopeo"].used.memory > MIB
    # Nobody can be faster, on any machine: upload opened, bytes sent and acknowledged, manifest put.
    assert all(run.wall > 6 * LONG.delay + MIB / LONG.rate for run in runs.values())

    (runs,) = idle.rounds
    assert (runs[DAEMON].primary.requests, runs[DAEMON].replicas.requests) == (2, 2)
    assert runs[CLEAN].primary.requests + runs[CLEAN].replicas.requests == 0

    rows = tables([far, idle]).split("\n\n", maxsplit=1)[0].splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["(a)", "(d)", "(d-clean)"]


def _run(wall: float, *, registries: float = 0.0) -> Run:
    return Run(
        wall=wall,
        used=Used(cpu=wall / 2, memory=MIB),
        primary=Work(cpu=registries),
        replicas=Work(),
        line=0.0,
        other=0.0,
    )


def _group(*rounds: dict[str, Run], place: Place = Place.LAN) -> Group:
    return Group(case="a", title="big", replicas=1, place=place, unique=4 * MIB, largest=MIB, rounds=rounds)


def test_the_ratio_is_to_the_best_peer_of_the_same_round() -> None:
    group = _group(
        {DAEMON: _run(1.0), "skopeo": _run(4.0), "crane": _run(2.0)},
        {DAEMON: _run(1.0), "skopeo": _run(4.0), "crane": _run(8.0)},
        {DAEMON: _run(3.0), "skopeo": _run(4.0)},
    )
    beside = group.beside(DAEMON, lambda run: run.wall)
    assert beside is not None
    assert (beside[1].low, beside[1].middle, beside[1].high) == (0.25, 0.5, 0.75)


@pytest.mark.parametrize(
    ("wall", "registries", "word"), [(1.5, 0.0, "yes"), (1.9, 3.2, "by the floor"), (1.9, 2.0, "no")]
)
def test_a_target_is_reached_by_ratio_or_near_the_floor(
    wall: float, registries: float, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.bench.runs.CORES", 2)
    group = _group({DAEMON: _run(wall, registries=registries), "skopeo": _run(2.0)})
    assert tables([group]).split("\n\n", maxsplit=1)[0].splitlines()[2].split("|")[-2].strip() == word


def test_results_are_kept_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    lan, far = _group({DAEMON: _run(1.0)}), _group({DAEMON: _run(2.0)}, place=Place.REPLICAS)
    save([lan, far], path)
    again = _group({DAEMON: _run(3.0)})
    save([again], path)
    assert load(path) == [again, far]


def test_a_filled_storage_is_complete_and_a_torn_one_is_not(tmp_path: Path) -> None:
    workload = tiny(2)
    fill(tmp_path, "bench/c", workload)
    assert lacking(tmp_path, "bench/c", workload) == []
    (blob,) = tmp_path.rglob(f"*/{workload.tags['v1'].blobs()[0].digest.encoded}/data")
    blob.write_bytes(b"short")
    assert lacking(tmp_path, "bench/c", workload) == ["v1"]
    assert lacking(tmp_path, "bench/other", workload) == ["v0", "v1"]


def test_three_fifths_of_the_layer_slots_are_shared() -> None:
    few = sharing(5, 1, 4)
    slots = [blob.digest for content in few.tags.values() for blob in content.blobs()[:-1]]
    shared = [digest for digest in slots if slots.count(digest) > 1]
    assert len(slots) == 5 * 8
    assert 0.5 <= len(shared) / len(slots) <= 0.6
