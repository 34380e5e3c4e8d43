"""The gate before a deploy: wait until a digest is complete on replicas, even if its tag moves on meanwhile.

A replica is complete when its row is clean with that digest under the present rules, or, where the row speaks of
another digest or there is none, when the replica itself serves the digest. Where the rule sends referrers along, that
does not tell: a row, of the digest if need be, must be settled. The store wakes waits; a slow poll is the net below.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum

import anyio

from replicator.admin.changes import Changes
from replicator.admin.ports import Presence, Source
from replicator.admin.reference import ref_text
from replicator.admin.standing import describe
from replicator.admin.targets import targets
from replicator.errors import ContentError, RegistryError, ReplicatorError, Withheld
from replicator.model import Change, ChangeKind, Digest, IntentKey, Reference, Repository
from replicator.store.rows import Row


class Verdict(StrEnum):
    """How a wait ended."""

    COMPLETE = "complete"
    PENDING = "pending"
    NO_SUCH_REFERENCE = "no_such_reference"
    NO_RULE = "no_rule"
    PRIMARY_UNAVAILABLE = "primary_unavailable"
    BUSY = "busy"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """Where one replica stood when the wait ended; `waiting_for` is empty once it is complete."""

    replica: str
    complete: bool
    waiting_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitResult:
    """A finished wait; `digest` is what the reference named on the primary when the wait began."""

    verdict: Verdict
    message: str
    digest: Digest | None = None
    replicas: tuple[Awaited, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitLimits:
    """Paces of a wait in seconds, and how many may be open at a time.

    `first_look` is how long the first look may take even where the caller gave less time, none for example.
    """

    first_look: float = 5.0
    poll: float = 5.0
    stat_every: float = 1.0
    resolve_every: float = 2.0
    open_waits: int = 256


@dataclass(slots=True, kw_only=True)
class _Wish:
    """One replica's part of a wait: what is wanted there under which rule, and what has been done for it.

    `alone`: the rule sends nothing along. `followed`: a row of the digest itself was owed while this wait looked.
    """

    key: IntentKey
    digest: Digest
    fingerprint: str
    alone: bool
    asks: list[IntentKey]
    followed: bool = False
    complete: bool = False
    waiting_for: str = "nothing looked at yet"
    next_stat: float = 0.0
    bell: anyio.Event = field(default_factory=anyio.Event)

    @property
    def by_digest(self) -> IntentKey:
        """The row that asks for the digest, whatever the tag names by now."""
        return IntentKey(self.key.replica, self.key.repository, self.digest)


@dataclass(slots=True, kw_only=True)
class _Wait:
    """One call of `wait`; `until` in monotonic seconds."""

    repository: Repository
    reference: Reference
    replicas: tuple[str, ...]
    until: float
    wishes: list[_Wish] = field(default_factory=list)
    failure: WaitResult = WaitResult(
        verdict=Verdict.PRIMARY_UNAVAILABLE, message="the primary has not answered in time"
    )


class Waits:
    """All open waits of the daemon. Takes the one subscription to the store that they share."""

    def __init__(
        self, *, source: Source, presence: Presence, changes: Changes, limits: WaitLimits | None = None
    ) -> None:
        self._store = changes.store
        self._routes = changes.routes
        self._clock = changes.clock
        self._source = source
        self._presence = presence
        self._changes = changes
        self._limits = limits or WaitLimits()
        self._wishes: dict[tuple[str, Repository], list[_Wish]] = {}
        self._open = 0
        self._stopping = anyio.Event()
        self._store.listen(self._ring)

    def stop(self) -> None:
        """End every open wait now, and refuse new ones; they answer STOPPING."""
        self._stopping.set()

    async def wait(
        self, repository: Repository, reference: Reference, replicas: Sequence[str], within: float
    ) -> WaitResult:
        """Wait at most `within` seconds for `replicas` (none named: all that a rule sends the reference to)."""
        if self._open >= self._limits.open_waits:
            return WaitResult(verdict=Verdict.BUSY, message="too many waits are open; try again later")
        where = targets(self._routes, repository, reference, replicas)
        if where.refusal:
            return WaitResult(verdict=Verdict.NO_RULE, message=f"{ref_text(repository, reference)}: {where.refusal}")
        self._open += 1
        try:
            return await self._wait(repository, reference, where.replicas, within)
        finally:
            self._open -= 1

    async def _wait(
        self, repository: Repository, reference: Reference, replicas: tuple[str, ...], within: float
    ) -> WaitResult:
        started = self._clock.monotonic()
        job = _Wait(repository=repository, reference=reference, replicas=replicas, until=started + within)
        with anyio.move_on_after(max(within, self._limits.first_look)) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(self._cancel_when_stopping, scope)
                digest = await self._resolve(job)
                if digest is not None:
                    job.wishes = [self._wish(name, job, digest) for name in replicas]
                    await self._fulfil_all(job)
                group.cancel_scope.cancel()
        result = _result(job.wishes) if job.wishes else job.failure
        return self._unless_stopping(replace(result, seconds=self._clock.monotonic() - started))

    def _unless_stopping(self, result: WaitResult) -> WaitResult:
        if result.verdict is Verdict.COMPLETE or not self._stopping.is_set():
            return result
        return replace(result, verdict=Verdict.STOPPING, message="the daemon is stopping; ask again when it is back")

    async def _cancel_when_stopping(self, scope: anyio.CancelScope) -> None:
        await self._stopping.wait()
        scope.cancel()

    async def _resolve(self, job: _Wait) -> Digest | None:
        """Return what the primary names now; a temporary failure is tried again until the wait's own end."""
        while True:
            try:
                found = await self._source.stat_manifest(job.repository, job.reference)
            except (RegistryError, ContentError) as error:
                job.failure = WaitResult(verdict=Verdict.PRIMARY_UNAVAILABLE, message=f"the primary: {error}")
                if not error.temporary or self._clock.monotonic() >= job.until:
                    return None
                await self._clock.sleep(self._limits.resolve_every)
                continue
            if found is not None:
                return found.digest
            text = f"the primary has no {ref_text(job.repository, job.reference)}"
            job.failure = WaitResult(verdict=Verdict.NO_SUCH_REFERENCE, message=text)
            return None

    async def _fulfil_all(self, job: _Wait) -> None:
        async with anyio.create_task_group() as group:
            for wish in job.wishes:
                group.start_soon(self._fulfil, wish, job.until)

    async def _fulfil(self, wish: _Wish, until: float) -> None:
        with self._registered(wish):
            while True:
                wish.bell = anyio.Event()
                try:
                    wish.complete = await self._look(wish)
                except ReplicatorError as error:
                    wish.waiting_for = f"{type(error).__name__}: {error}"
                if wish.complete or self._clock.monotonic() >= until:
                    return
                with anyio.move_on_after(min(self._limits.poll, until - self._clock.monotonic())):
                    await wish.bell.wait()

    async def _look(self, wish: _Wish) -> bool:
        row = await self._store.row(wish.key)
        told = None if row is None else await self._told_by(row, wish)
        if told is not None:
            return told
        if not wish.alone and not await self._is_settled(wish):
            return False
        await self._clock.sleep(wish.next_stat - self._clock.monotonic())
        wish.next_stat = self._clock.monotonic() + self._limits.stat_every
        with suppress(Withheld):  # what a policy lets nobody read is known by its row alone, once it was put
            if await self._presence.holds(wish.key.replica, wish.key.repository, wish.digest):
                return True
        await self._ask(wish)
        return False

    async def _told_by(self, row: Row, wish: _Wish) -> bool | None:
        """Say what the row tells of the wish, None when it tells nothing."""
        wish.waiting_for = describe(row)
        if not row.owed and row.have == wish.digest:
            if row.fingerprint == wish.fingerprint:
                return True
            await self._ask(wish)  # it was settled under other rules
            return False
        if row.owed and row.want in {None, wish.digest}:
            # The reference is asked for already; should it move on, only the digest is left to ask for.
            wish.asks = [] if wish.key == wish.by_digest else [wish.by_digest]
            wish.followed = wish.key == wish.by_digest
            return False
        # What somebody decided to leave out is not asked for, and not fetched by its digest either.
        return None if row.ignored_at is None else False

    async def _is_settled(self, wish: _Wish) -> bool:
        """Say whether a row of the digest was owed and is not any more; it is dropped when all of it is there."""
        row = await self._store.row(wish.by_digest)
        if row is not None and row.owed:
            wish.waiting_for, wish.followed = describe(row), True
            return False
        if wish.followed:
            return True
        await self._ask(wish)
        return False

    async def _ask(self, wish: _Wish) -> None:
        """Make the digest owed: first by the reference asked for, then, the tag having moved on, by digest."""
        if not wish.asks:
            return
        key = wish.asks[0]
        await self._changes.tell(key.repository, key.reference, (key.replica,), digest=wish.digest)
        wish.asks.pop(0)
        wish.followed = key == wish.by_digest
        wish.waiting_for = f"asked for by {key.reference}"

    def _wish(self, replica: str, job: _Wait, digest: Digest) -> _Wish:
        key = IntentKey(replica, job.repository, job.reference)
        change = Change(kind=ChangeKind.PUSH, repository=job.repository, reference=job.reference, digest=digest)
        routed = {intent.key: intent.fingerprint for intent in self._routes.route(change, self._clock.now())}
        return _Wish(
            key=key,
            digest=digest,
            fingerprint=routed.get(key, ""),
            alone=not self._routes.policy(replica, job.repository, job.reference).referrers,
            asks=[key] if job.reference == digest else [key, IntentKey(replica, job.repository, digest)],
        )

    @contextmanager
    def _registered(self, wish: _Wish) -> Iterator[None]:
        place = (wish.key.replica, wish.key.repository)
        self._wishes.setdefault(place, []).append(wish)
        try:
            yield
        finally:
            self._wishes[place].remove(wish)
            if not self._wishes[place]:
                del self._wishes[place]

    def _ring(self, keys: Sequence[IntentKey]) -> None:
        for place in {(key.replica, key.repository) for key in keys}:
            for wish in self._wishes.get(place, ()):
                wish.bell.set()


def _result(wishes: Sequence[_Wish]) -> WaitResult:
    replicas = tuple(
        Awaited(
            replica=wish.key.replica, complete=wish.complete, waiting_for="" if wish.complete else wish.waiting_for
        )
        for wish in wishes
    )
    missing = ", ".join(item.replica for item in replicas if not item.complete)
    verdict = Verdict.PENDING if missing else Verdict.COMPLETE
    message = f"not complete in time on {missing}" if missing else "complete"
    return WaitResult(verdict=verdict, message=message, digest=wishes[0].digest, replicas=replicas)
