"""The SQLite store against a model of it: any order of changes, leases and restarts ends in the same rows."""

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from replicator.model import Digest, Intent, IntentKey, Lease, Priority, Recorded
from replicator.store.leases import DOUBT_SECONDS
from replicator.store.outcome import Done, Outcome, Parked, Result, Retry
from replicator.store.rows import PutBeside, ReplicaSummary
from replicator.store.sqlite import SqliteStore
from tests.property.store_model import CHANGES, DIGESTS, EVENTS, OUTCOMES, REPLICAS, Model
from tests.support.fake_clock import FakeClock

T = TypeVar("T")

# What is written here need not survive a power cut, so it need not wait for a disk.
_MEMORY = Path("/dev/shm")


class StoreMachine(RuleBasedStateMachine):
    """Drives both and compares all rows after each step."""

    leases = Bundle("leases")

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.rows: dict[IntentKey, Model] = {}
        self.epochs: set[int] = set()
        self.paused: dict[str, float] = {}
        self.store = self.open()

    def open(self) -> SqliteStore:
        return self.run(SqliteStore.open(Path(self.directory.name) / "replicator.db", clock=self.clock))

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(what)

    def teardown(self) -> None:
        self.run(self.store.close())
        self.runner.close()
        self.directory.cleanup()

    @rule(change=CHANGES)
    def record(self, change: tuple[Any, ...]) -> None:
        keys, digest, age, wait, priority, fingerprint = change
        now = self.clock.now()
        intents = [
            Intent(
                key=key, digest=digest, since=now - age, due_at=now + wait, priority=priority, fingerprint=fingerprint
            )
            for key in keys
        ]
        assert self.run(self.store.record(intents)) == tuple(map(self.model_record, intents))

    def model_record(self, intent: Intent) -> Recorded:
        row = self.rows.setdefault(intent.key, Model())
        if row.ignored is not None and None is not row.ignored[0] == intent.digest:
            return Recorded.KNOWN
        row.ignored = None
        was_owed = row.owed
        if (
            not was_owed
            and row.holder is None
            and None is not row.have == intent.digest
            and row.fingerprint == intent.fingerprint
            and not isinstance(intent.key.reference, Digest)  # registries collect what has no tag
        ):
            return Recorded.KNOWN
        row.priority = min(row.priority, intent.priority) if was_owed else intent.priority
        row.due = min(row.due, intent.due_at)
        row.reason = row.reason if was_owed else None
        row.changed(intent.since, intent.due_at)
        row.want, row.fingerprint = intent.digest, intent.fingerprint
        row.attempts, row.looks, row.failing_since, row.parked = 0, 0, None, False
        return Recorded.COALESCED if was_owed else Recorded.ACCEPTED

    @rule(target=leases, replica=st.sampled_from(REPLICAS), seconds=st.sampled_from([5.0, 60.0]))
    def lease_some(self, replica: str, seconds: float) -> Any:
        return multiple(*self.lease(replica, 1, seconds))

    @rule(
        replica=st.sampled_from(REPLICAS),
        limit=st.integers(1, 3),
        between=st.lists(CHANGES | EVENTS, max_size=3),
        outcome=OUTCOMES,
    )
    def work(self, replica: str, limit: int, between: list[tuple[Any, ...]], outcome: Outcome | None) -> None:
        """Lease what is due next, let things happen, and end: where all the interesting meetings are."""
        self.wait_for_work(replica)
        got = self.lease(replica, limit, 5.0)
        for event in between:
            if isinstance(event[0], str):
                self.happens(event)
            else:
                self.record(event)
        for lease in got:
            self.end(lease, outcome)

    def lease(self, replica: str, limit: int, seconds: float) -> tuple[Lease, ...]:
        """Lease, and check that it is what the model says is due."""
        now, monotonic = self.clock.now(), self.clock.monotonic()
        due = {
            key: (row.priority, row.due_at)
            for key, row in self.rows.items()
            if key.replica == replica and row.is_free(monotonic) and row.due_at is not None and row.due_at <= now
        }
        if replica in self.paused:
            due = {}
        got = self.run(self.store.lease(replica, limit, seconds))
        assert len(got) == min(limit, len(due))
        # Rows that are equally urgent may come in any order, so compare how urgent they are.
        assert [due[lease.key] for lease in got] == sorted(due.values())[: len(got)]
        assert len({lease.key for lease in got}) == len(got)
        assert not {lease.epoch for lease in got} & self.epochs, "an epoch is never given out twice"
        self.epochs.update(lease.epoch for lease in got)
        for lease in got:
            self.model_lease(lease, seconds)
        return got

    def wait_for_work(self, replica: str) -> None:
        """Let time pass until a row is due and free, if there is any."""
        waits = [
            max(row.due_at - self.clock.now(), row.held_until - self.clock.monotonic() if row.holder else 0.0, 0.0)
            for key, row in self.rows.items()
            if key.replica == replica and row.due_at is not None
        ]
        self.clock.advance(min(waits, default=0.0))

    def model_lease(self, lease: Lease, seconds: float) -> None:
        row = self.rows[lease.key]
        assert (lease.generation, lease.digest, lease.have) == (row.generation, row.want, row.have)
        assert (lease.since, lease.look, lease.looks) == (row.since, not row.owed, row.looks)
        assert (lease.attempts, lease.failing_since) == (row.attempts, row.failing_since)
        assert (lease.priority, lease.fingerprint) == (row.priority, row.fingerprint)
        if row.holder is not None and (row.put or not isinstance(lease.key.reference, Digest)):
            row.doubted(self.clock.now() + DOUBT_SECONDS)
        row.holder, row.held_until = lease.epoch, self.clock.monotonic() + seconds
        row.since_after_lease = None

    def held(self, lease: Lease) -> Model | None:
        row = self.rows.get(lease.key)
        return row if row is not None and row.holder == lease.epoch else None

    @rule(lease=leases, seconds=st.sampled_from([5.0, 60.0]))
    def renew(self, lease: Lease, seconds: float) -> None:
        row = self.held(lease)
        assert self.run(self.store.renew([lease], seconds)) == ({lease.key} if row else set())
        if row:
            row.held_until = self.clock.monotonic() + seconds

    @rule(lease=consumes(leases), outcome=OUTCOMES)
    def end(self, lease: Lease, outcome: Outcome | None) -> None:
        """Settle a lease or give it back; one that was taken over may try both."""
        match outcome:
            case None:
                self.release(lease)
            case Done():
                self.succeed(lease, outcome)
            case _:
                self.fail(lease, outcome)

    def release(self, lease: Lease) -> None:
        self.run(self.store.release([lease]))
        if row := self.held(lease):
            row.holder = None

    def succeed(self, lease: Lease, planned: Done) -> None:
        look_at = None if planned.look_at is None else self.clock.now() + planned.look_at
        done = replace(planned, look_at=look_at)
        row = self.settle(lease, done)
        if row is None:
            return
        row.holder = None
        if done.result is Result.SUPERSEDED:
            return
        row.put = done.put or (row.put and None is not row.have == done.digest)
        row.have, row.observed = done.digest, lease.generation
        if not lease.look or (row.ignored is not None and None is not row.ignored[0] == done.digest):
            row.ignored = None
        row.attempts, row.failing_since, row.reason, row.parked = 0, None, None, False
        if row.owed:
            assert row.since_after_lease is not None
            row.missed = row.missed and row.since == row.since_after_lease
            row.since = row.since_after_lease
        else:
            self.model_clean(lease.key, row, done)
        for key in (IntentKey(lease.key.replica, lease.key.repository, digest) for digest in done.covered):
            if key != lease.key and key in self.rows and self.rows[key].is_dropped_when_covered:
                del self.rows[key]

    def model_clean(self, key: IntentKey, row: Model, done: Done) -> None:
        row.since, row.looks, row.missed = None, done.looks, False
        row.want = None if row.want == done.digest else row.want
        row.look_at = row.doubt if done.look_at is None else done.look_at
        if row.doubt is not None and row.look_at is not None and row.look_at >= row.doubt:
            row.doubt = None
        if row.look_at is None and isinstance(key.reference, Digest) and not row.put:
            del self.rows[key]

    def fail(self, lease: Lease, planned: Retry | Parked) -> None:
        now = self.clock.now()
        failure = replace(planned, at=now + planned.at)
        row = self.settle(lease, failure)
        if row is None:
            return
        row.holder, row.reason = None, failure.reason
        if failure.wrote and (lease.look or not isinstance(lease.key.reference, Digest)):
            row.doubted(now + DOUBT_SECONDS)
        if row.generation != lease.generation:
            return
        row.attempts += 1
        row.failing_since = now if row.failing_since is None else row.failing_since
        if row.owed:
            row.due, row.parked = failure.at, isinstance(failure, Parked)
        else:
            row.look_at = failure.at

    def settle(self, lease: Lease, outcome: Outcome) -> Model | None:
        """Settle, check whether it counted, and model what a put without the lease does."""
        held = self.held(lease)
        assert self.run(self.store.settle(lease, outcome)) == (held is not None)
        row = self.rows.get(lease.key)
        if held is None and row is not None and outcome.wrote:
            row.changed(self.clock.now(), self.clock.now())
            row.ignored = None
            if not isinstance(outcome, Done) and (lease.look or not isinstance(lease.key.reference, Digest)):
                row.doubted(self.clock.now() + DOUBT_SECONDS)
        return held

    @rule(event=EVENTS)
    def happens(self, event: tuple[Any, ...]) -> None:
        match event:
            case ("time passes", seconds):
                self.clock.advance(seconds)
            case ("make due", replica, parked):
                self.make_due(replica, parked)
            case ("count missed", objective):
                self.count_missed(objective)
            case ("taken over", replica):
                self.clock.advance(5.0)
                self.lease(replica, 3, 5.0)
            case ("put beside", key, digest, after):
                self.put_beside(key, digest, after)
            case ("restart",):
                self.restart()
            case _:
                self.decided(event)

    def decided(self, event: tuple[Any, ...]) -> None:
        """Do what an operator decides."""
        match event:
            case ("retry", key):
                row = self.rows.get(key)
                failing = row is not None and row.owed and bool(row.reason) and row.due > self.clock.now()
                assert self.run(self.store.retry([key])) == ((key,) if failing else ())
                if row is not None and failing:
                    row.due = self.clock.now()
            case ("ignore", key, digest):
                row = self.rows.get(key)
                owed = row is not None and row.owed
                assert self.run(self.store.ignore([key], digest)) == ((key,) if owed else ())
                if row is not None and owed:
                    row.ignore(digest)
            case ("heed", key):
                self.heed(key)
            case ("pause", replica):
                assert self.run(self.store.pause(replica)) == (replica not in self.paused)
                self.paused.setdefault(replica, self.clock.now())
            case ("resume", replica):
                assert self.run(self.store.resume(replica)) == (replica in self.paused)
                self.paused.pop(replica, None)
            case _:
                raise AssertionError(event)

    def heed(self, key: IntentKey) -> None:
        """Take a decision back: a change as at first, since when it was owed."""
        row = self.rows.get(key)
        expected = {}
        if row is not None and row.ignored is not None:
            digest, since = row.ignored
            row.ignored = None
            now = self.clock.now()
            again = Intent(
                key=key, digest=digest, since=since, due_at=now, priority=row.priority, fingerprint=row.fingerprint
            )
            expected = {key: self.model_record(again)}
        assert self.run(self.store.heed([key])) == expected

    def put_beside(self, key: IntentKey, digest: Digest | None, after: float) -> None:
        """Put a tag without its lease; None stands for an answer that never comes."""
        new = Model(generation=1, observed=1, fingerprint="p", priority=Priority.NORMAL)
        row = self.rows.setdefault(key, new)
        put = PutBeside(key=key, digest=digest or DIGESTS[0], priority=Priority.NORMAL, fingerprint="p")
        doubt_until = self.run(self.store.begin_put(put))
        assert doubt_until == self.clock.now() + DOUBT_SECONDS
        row.put_beside(None, doubt_until, None)
        if digest is not None:
            look_at = self.clock.now() + after
            self.run(self.store.end_put(put, doubt_until=doubt_until, look_at=look_at))
            row.put_beside(digest, look_at, doubt_until)

    def make_due(self, replica: str, parked: bool) -> None:
        now = self.clock.now()
        failing = [
            row
            for key, row in self.rows.items()
            if key.replica == replica and row.owed and row.reason and row.due > now and (parked or not row.parked)
        ]
        assert self.run(self.store.make_due(replica, parked=parked)) == len(failing)
        for row in failing:
            row.due = now

    def count_missed(self, objective: float) -> None:
        before = self.clock.now() - objective
        late = {key: row for key, row in self.rows.items() if row.since is not None and row.since <= before}
        new = [key.replica for key, row in late.items() if not row.missed]
        assert self.run(self.store.count_deadline_missed(objective)) == {name: new.count(name) for name in new}
        for row in late.values():
            row.missed = True

    def restart(self) -> None:
        self.run(self.store.close())
        self.store = self.open()
        for key, row in self.rows.items():
            if row.holder is not None:
                row.holder = None
                if row.put or not isinstance(key.reference, Digest):
                    row.doubted(self.clock.now() + DOUBT_SECONDS)

    @invariant()
    def rows_are_the_same(self) -> None:
        stored = {row.key: row for row in self.run(self.store.rows(limit=1000))}
        assert stored.keys() == self.rows.keys()
        for key, model in self.rows.items():
            row = stored[key]
            assert (row.generation, row.observed_generation, row.owed) == (
                model.generation,
                model.observed,
                model.owed,
            )
            assert (row.want, row.have, row.fingerprint) == (model.want, model.have, model.fingerprint)
            assert (row.dirty_since, row.due_at) == (model.since, model.due if model.owed else None)
            assert (row.attempts, row.failing_since, row.reason) == (
                model.attempts,
                model.failing_since,
                model.reason,
            )
            assert (row.parked, row.verify_at, row.looks) == (model.parked, model.look_at, model.looks)
            assert (row.priority, row.leased) == (model.priority, model.holder is not None)
            assert row.deadline_missed == model.missed
            assert (row.ignored_at is not None) == (model.ignored is not None)
            assert not (row.owed and row.ignored_at is not None)

    @invariant()
    def answers_follow_from_the_rows(self) -> None:
        summary = self.run(self.store.summary())
        for replica in REPLICAS:
            rows = [row for key, row in self.rows.items() if key.replica == replica]
            owed = [row for row in rows if row.owed]
            failing = [row.reason for row in owed if row.reason]
            assert summary.replica(replica) == ReplicaSummary(
                owed=len(owed),
                parked=sum(row.parked for row in owed),
                failing={reason: failing.count(reason) for reason in failing},
                since=min((row.since for row in owed if row.since is not None), default=None),
                looks=sum(row.look_at is not None for row in rows),
                paused_since=self.paused.get(replica),
                ignored=sum(row.ignored is not None for row in rows),
            )
            times = [row.due_at for row in rows if row.is_free(self.clock.monotonic()) and row.due_at is not None]
            next_due = None if replica in self.paused else min(times, default=None)
            assert self.run(self.store.next_due(replica)) == next_due


StoreMachine.TestCase.settings = settings(max_examples=settings().max_examples * 3 // 5, stateful_step_count=50)
TestStoreMachine = pytest.mark.timeout(1800)(StoreMachine.TestCase)
