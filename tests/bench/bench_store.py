"""Acknowledgement latency and throughput of the store: `python -m tests.bench.bench_store [DIRECTORY | postgres]`.

Prints a table and exits 1 when a target of DESIGN 4 is missed: one serial sender p50 < 2 ms and p99 < 20 ms, commit
included; at least 3,000 events/s with 64 senders. Run it on the disk that is to hold the state; with `postgres` a
server is started on this machine's.
"""

import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from replicator.clock import SystemClock
from replicator.model import Digest, Intent, IntentKey, Repository, Tag
from replicator.store.outcome import Done, Result
from replicator.store.postgres import PostgresStore
from replicator.store.postgres_place import Place
from replicator.store.sqlite import SqliteStore
from replicator.store.store import Store
from tests.support.postgres import Postgres, run_postgres

SERIAL_P50 = 0.002
SERIAL_P99 = 0.020
EVENTS_PER_SECOND = 3000.0
_TAGS = 100_000


class Commits:
    """Counts commits and the operations they held."""

    def __init__(self) -> None:
        self.commits = 0
        self.operations = 0

    def committed(self, seconds: float, operations: int, delivery: str = "") -> None:
        """See StoreObserver."""
        del seconds, delivery
        self.commits += 1
        self.operations += operations


@dataclass(frozen=True, slots=True)
class Measured:
    """One line of the table; times in seconds."""

    replicas: int
    senders: int
    latencies: tuple[float, ...]
    elapsed: float
    per_commit: float

    def at(self, quantile: float) -> float:
        """Return the latency at a quantile."""
        return sorted(self.latencies)[min(len(self.latencies) - 1, int(quantile * len(self.latencies)))]

    @property
    def rate(self) -> float:
        """Events per second."""
        return len(self.latencies) / self.elapsed

    @property
    def holds(self) -> bool:
        """Whether the target for this line is met."""
        if self.senders not in {1, 64}:
            return True  # no target, for comparison
        if self.senders == 1:
            return self.at(0.5) < SERIAL_P50 and self.at(0.99) < SERIAL_P99
        return self.rate >= EVENTS_PER_SECOND

    def __str__(self) -> str:
        milliseconds = "  ".join(f"{1000 * self.at(quantile):8.2f}" for quantile in (0.5, 0.99, 1.0))
        verdict = "ok" if self.holds else "MISSED"
        who = f"{self.replicas:8}  {self.senders:7}"
        return f"{who}  {milliseconds}  {self.rate:8.0f}  {self.per_commit:10.1f}  {verdict}"


def event(number: int, replicas: int) -> list[Intent]:
    """Return what one event makes: an intent for each replica, of one of many tags in many repositories."""
    tag = (number * 7919) % _TAGS
    repository, digest = Repository(f"team/application-{tag % 997}"), Digest.of(number.to_bytes(8, "big"))
    return [
        Intent(
            key=IntentKey(f"replica-{replica}", repository, Tag(f"v1.{tag}")),
            digest=digest,
            since=1_700_000_000.0 + number,
            due_at=1_700_000_000.0 + number,
            fingerprint="0123456789abcdef",
        )
        for replica in range(replicas)
    ]


Opens = Callable[[Commits | None], Awaitable[Store]]


@contextmanager
def in_a_file(place: Path | None) -> Iterator[Opens]:
    """Yield what opens an empty store in a file."""
    with tempfile.TemporaryDirectory(dir=place) as directory:
        path = Path(directory) / "bench.db"
        yield lambda observer: SqliteStore.open(path, clock=SystemClock(), observer=observer)


@contextmanager
def on(server: Postgres) -> Iterator[Opens]:
    """Yield what opens an empty store on a server."""
    server.empty()
    place = Place(server.url())
    yield lambda observer: PostgresStore.open(place, clock=SystemClock(), rng=random.Random(1), observer=observer)


async def measure(opens: Opens, replicas: int, senders: int, events: int) -> Measured:
    """Record events from some senders at once, each waiting for its answer before it goes on."""
    commits = Commits()
    store = await opens(commits)
    latencies: list[float] = []
    numbers = iter(range(events))

    async def send() -> None:
        for number in numbers:
            intents = event(number, replicas)
            started = time.perf_counter()
            await store.record(intents)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(senders)))
    elapsed = time.perf_counter() - started
    await store.close()
    return Measured(replicas, senders, tuple(latencies), elapsed, commits.operations / max(1, commits.commits))


async def measure_work(opens: Opens, rows: int, limit: int) -> float:
    """Return rows per second that are leased and settled, `limit` at a time."""
    store = await opens(None)
    await store.record([intent for number in range(rows) for intent in event(number, 1)])
    started, settled = time.perf_counter(), 0
    while leases := await store.lease("replica-0", limit, 60):
        outcomes = [Done(result=Result.COPIED, digest=lease.digest) for lease in leases]
        settled += sum(await asyncio.gather(*map(store.settle, leases, outcomes)))
    elapsed = time.perf_counter() - started
    await store.close()
    return settled / elapsed


def main() -> int:
    """Measure everything and print it."""
    if sys.argv[1:] == ["postgres"]:
        with tempfile.TemporaryDirectory() as folder, run_postgres(Path(folder)) as server:
            return measure_all(lambda: on(server))
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    return measure_all(lambda: in_a_file(place))


def measure_all(empty: Callable[[], AbstractContextManager[Opens]]) -> int:
    """Measure on one empty store after the other; return 1 when a target was missed."""
    print("replicas  senders    p50 ms    p99 ms    max ms  events/s  ops/commit")
    kept = True
    for replicas in (1, 3):
        for senders, events in ((1, 3000), (8, 10_000), (64, 20_000)):
            with empty() as opens:
                measured = asyncio.run(measure(opens, replicas, senders, events))
            print(measured, flush=True)
            kept = kept and measured.holds
    for limit in (1, 16, 64):
        with empty() as opens:
            rate = asyncio.run(measure_work(opens, 4000, limit))
        print(f"leased and settled, {limit:2} at a time: {rate:6.0f} rows/s", flush=True)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
