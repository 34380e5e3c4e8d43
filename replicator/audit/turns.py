"""Looks at what one replica really holds, little at once: some clean rows an hour, all of them after it was down.

Asks by HEAD, and GET of manifests alone; what it finds becomes owed. All that must be remembered stands in the store,
so that another one goes on where it stopped.
"""

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import structlog

from replicator.audit.compare import Seen, compare
from replicator.audit.downtime import Downtime
from replicator.audit.events import AuditEvent
from replicator.audit.findings import Drift, Finding
from replicator.audit.holdings import Holdings
from replicator.audit.pace import MOST, Pace, pace
from replicator.audit.ports import Counts, Lane, Routes, Sink, Updates
from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError, StoreError
from replicator.model import (
    Change,
    ChangeKind,
    Intent,
    Priority,
    Recorded,
    Reference,
    Repository,
)
from replicator.observability.labels import LaneState, UpdateKind, VerifyResult
from replicator.store.verifications import CleanTag, Place, Places, Verifications
from replicator.together import together

TICK = 10.0
"""Seconds between two looks at the lanes."""
CALM = 3.0
"""Seconds after which what differs is looked at again: a copy may have been on its way."""
AT_ONCE = 4
"""References of one replica looked at at a time."""
_TROUBLE = 60.0
_TRIES = 3
_COUNTED_EVERY = 3600.0
_RESULTS = {
    Drift.DIFFERENT: VerifyResult.DIFFERENT,
    Drift.MISSING: VerifyResult.MISSING,
    Drift.INCOMPLETE: VerifyResult.INCOMPLETE,
    Drift.DAMAGED: VerifyResult.INCOMPLETE,
    Drift.UNREAD: VerifyResult.FAILED,
}

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What verification works with; `holdings` makes what a replica is asked by, anew for each lot of rows.

    `downtimes` are the replicas' by their names, and outlive the configuration.
    """

    replicas: tuple[str, ...]
    holdings: Callable[[str], Holdings]
    lanes: Callable[[], Mapping[str, Lane]]
    verifications: Verifications
    sink: Sink
    routes: Routes
    counts: Counts
    updates: Updates
    clock: Clock
    downtimes: defaultdict[str, Downtime] = field(default_factory=lambda: defaultdict(Downtime))


class ReplicaTurns:
    """The verification of one replica; the first turn comes after that part (0 to 1) of a pause."""

    def __init__(self, name: str, means: Means, *, full_every: float, first: float) -> None:
        self._name = name
        self._means = means
        self._full_every = full_every
        self._first = first
        self._downtime = means.downtimes[name]
        self._is_known = False  # whether the replica was down or not, in this life of its lane
        self._unkept = False
        self._next: float | None = None
        self._pace: Pace | None = None
        self._counted = 0.0
        self._places: Places | None = None
        self._failed: Counter[Place] = Counter()

    async def run(self) -> None:
        """Take turns for ever."""
        while True:
            try:
                pause = await self.turn()
            except StoreError as error:
                _log.warning(AuditEvent.VERIFY_FAILED, replica=self._name, reason=error.reason, error=str(error))
                pause = _TROUBLE
            except Exception:  # noqa: BLE001 -- the edge: an error that nobody foresaw must not end verification
                _log.exception(AuditEvent.VERIFY_CRASHED, replica=self._name)
                pause = _TROUBLE
            await self._means.clock.sleep(pause)

    async def turn(self) -> float:
        """Do what is due and return how long there is nothing more to do. Raises StoreError."""
        name, kept, now = self._name, self._means.verifications, self._means.clock.monotonic()
        if self._places is None:
            self._places = await kept.places(name)
        if not await self._may_be_asked(now):
            return TICK
        if self._places.whole is not None:
            rows = await kept.page(name, self._places.whole, MOST)
            if rows:
                return await self._look_at(rows, self._keep_whole, 0.0)
            await self._keep_whole(None)
            _log.info(AuditEvent.VERIFY_WHOLE_DONE, replica=name)
        wanted = await self._wanted(now)
        if self._next is None:
            self._next = now + wanted.seconds * self._first
        if now < self._next:
            return min(TICK, self._next - now)
        rows = await kept.page(name, self._places.steady, wanted.rows)
        if not rows and self._places.steady != Place():
            await self._keep(Place())
            return 0.0
        self._next = now + wanted.seconds
        return await self._look_at(rows, self._keep, min(TICK, wanted.seconds)) if rows else TICK

    async def _wanted(self, now: float) -> Pace:
        """Return the pace; the rows are counted now and then, since that takes a while where there are many."""
        if self._pace is None or now >= self._counted + min(_COUNTED_EVERY, self._full_every):
            self._pace = pace(await self._means.verifications.count(self._name), self._full_every)
            self._counted = now
        return self._pace

    async def _keep(self, steady: Place) -> None:
        await self._means.verifications.keep(self._name, steady)
        self._places = replace(self._places or Places(), steady=steady)

    async def _keep_whole(self, whole: Place | None) -> None:
        await self._means.verifications.keep_whole(self._name, whole)
        self._places = replace(self._places or Places(), whole=whole)

    async def _may_be_asked(self, now: float) -> bool:
        """Say whether the replica's lane works; all of a replica is looked at after it was down for long."""
        lane = self._means.lanes()[self._name]
        state = lane.state
        if state == LaneState.OPEN:
            self._is_known = True
            self._unkept |= self._downtime.goes_on(now)
        elif self._is_known:
            self._downtime.ended()
        elif lane.last_success is not None:
            self._is_back(now)
        if self._unkept:
            # At once: this life may end before the replica is back. Or later: the store may be away as long as that.
            await self._keep_whole(Place())
            _log.info(AuditEvent.VERIFY_WHOLE_BEGUN, replica=self._name)
            self._unkept = False
        return state not in {LaneState.OPEN, LaneState.PAUSED}

    def _is_back(self, now: float) -> None:
        """Note the first that is known of it: under the former configuration it may have been down until now."""
        self._is_known = True
        self._unkept |= self._downtime.went_on(now)
        self._downtime.ended()

    async def _look_at(
        self, rows: Sequence[CleanTag], keep: Callable[[Place], Awaitable[None]], pause: float
    ) -> float:
        """Look at rows, have what differs mended, and go on behind them; unless the replica tells nothing at all."""
        found = await self._findings(rows)
        if any(one is not None and one.kind is not Drift.UNREAD for one in found.values()):
            await self._means.clock.sleep(CALM)
            found = await self._again(rows, found)
        unread = [one for one in found.values() if one is not None and one.kind is Drift.UNREAD]
        first = rows[0].place
        if found and len(unread) == len(found) and self._failed[first] < _TRIES:
            _log.warning(AuditEvent.VERIFY_FAILED, replica=self._name, error=unread[0].problem)
            self._failed[first] += 1
            return _TROUBLE
        self._failed.clear()
        if len(unread) < len(found) and not self._is_known:
            self._is_back(self._means.clock.monotonic())
        for row in rows:
            if row.place in found:
                await self._settle(found[row.place])
        await keep(rows[-1].place)
        return pause

    async def _findings(self, rows: Sequence[CleanTag]) -> dict[Place, Finding | None]:
        """Return what differs; nothing of what no rule sends there any more."""
        results: dict[Place, Finding | None] = {}
        holdings = self._means.holdings(self._name)
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one(row: CleanTag) -> None:
            async with limiter:
                results[row.place] = await self._compared(holdings, row)

        await together([partial(one, row) for row in rows if self._intents(row.repository, row.tag)])
        return results

    async def _again(
        self, rows: Sequence[CleanTag], found: Mapping[Place, Finding | None]
    ) -> dict[Place, Finding | None]:
        """Look once more at what differs and is still clean; of what is not clean any more nothing is said."""
        doubted = [row for row in rows if found.get(row.place) is not None]
        still = [
            row
            for row in doubted
            if await self._means.verifications.have(self._name, row.repository, row.tag) == row.have
        ]
        equal: dict[Place, Finding | None] = {place: None for place, one in found.items() if one is None}
        return equal | await self._findings(still)

    async def _compared(self, holdings: Holdings, row: CleanTag) -> Finding | None:
        name, repository, tag = self._name, row.repository, row.tag
        try:
            held = await holdings.named(repository, tag)
            seen = Seen(expected=row.have, held=held)
            if held == row.have:
                policy = self._means.routes.policy(name, repository, tag)
                seen = replace(seen, lacks=await holdings.lacks(repository, held, policy))
        except (RegistryError, ContentError) as error:
            return Finding(kind=Drift.UNREAD, replica=name, repository=repository, reference=tag, problem=str(error))
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 -- what nobody foresaw of one reference must not keep the others waiting
            _log.exception(AuditEvent.VERIFY_CRASHED, replica=name, repository=repository, reference=str(tag))
            problem = "unexpected error; see the log"
            return Finding(kind=Drift.UNREAD, replica=name, repository=repository, reference=tag, problem=problem)
        return compare(name, repository, tag, seen)

    async def _settle(self, finding: Finding | None) -> None:
        """Count a reference, and make it owed if it differs."""
        means, name = self._means, self._name
        if finding is None or finding.kind is Drift.UNREAD or finding.reference is None:
            means.counts.verified(name, VerifyResult.EQUAL if finding is None else VerifyResult.FAILED)
            return
        intents = self._intents(finding.repository, finding.reference)
        recorded = await means.sink.repair(intents, finding.damaged)
        for what in recorded:
            if what is Recorded.ACCEPTED:
                means.updates.update_owed(name, UpdateKind.TAG)
        means.counts.verified(name, _RESULTS[finding.kind])
        _log.warning(
            AuditEvent.VERIFY_FOUND,
            replica=name,
            repository=finding.repository,
            reference=str(finding.reference),
            found=str(finding.kind),
        )

    def _intents(self, repository: Repository, reference: Reference) -> list[Intent]:
        """Return what makes the reference equal: behind all pushes."""
        now = self._means.clock.now()
        change = Change(kind=ChangeKind.PUSH, repository=repository, reference=reference)
        routed = self._means.routes.route(change, now)
        return [replace(one, priority=Priority.LOW) for one in routed if one.key.replica == self._name]
