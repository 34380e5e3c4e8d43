"""Compares all the time, little at once: whatever is due goes first to last, at low priority, and stops at any point.

All that it knows stands in the store, so that another one goes on where it stopped.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
import structlog

from replicator.errors import ContentError, Reason, RegistryError, ReplicatorError, StoreError
from replicator.model import Priority, Repository
from replicator.registry.urgency import Urgency, urgent
from replicator.store.sweep_rows import Swept
from replicator.sweep.activity import Activity
from replicator.sweep.events import SweepEvent
from replicator.sweep.examine import Examiner, Means
from replicator.sweep.repositories import Chosen, Repositories
from replicator.sweep.schedule import SOONEST, Rhythm, compared, failed, wants_digests
from replicator.together import together

BATCH = 32
"""Repositories taken up at once."""
_TOGETHER = 4
_LONGEST_PAUSE = 10.0
_TROUBLE = 5.0
_LONGEST_TROUBLE = 300.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _State:
    """What a sweeper keeps while it runs: when work became due, the last trouble, when the catalog is read next."""

    busy_since: float | None = None
    troubles: int = 0
    is_first: bool = True
    catalog_after: float = 0.0
    trouble: ReplicatorError | None = None


class Sweeper:
    """Compares one primary under one configuration; `run` works until it is stopped or cancelled."""

    def __init__(
        self, means: Means, *, chosen: Chosen, rhythm: Rhythm, activity: Activity, rng: random.Random
    ) -> None:
        self._means = means
        self._chosen = chosen
        self._rhythm = rhythm
        self._activity = activity
        self._rng = rng
        self._examiner = Examiner(means)
        self._repositories = Repositories(means.primary, means.sweeps, chosen, means.replicas, means.counts)
        self._scope = anyio.CancelScope()
        self._state = _State()

    def stop(self) -> None:
        """Stop now; what was not compared to its end is compared again."""
        self._scope.cancel()

    async def run(self) -> None:
        """Compare whatever is due, again and again."""
        with self._scope, urgent(Urgency(Priority.LOW)):
            while True:
                try:
                    pause = await self.turn()
                except StoreError as error:
                    pause = self._in_trouble(error)
                except Exception:  # noqa: BLE001 -- the sweep's edge: an error that nobody foresaw must not end all sweeps
                    _log.exception(SweepEvent.SWEEP_CRASHED)
                    pause = _LONGEST_TROUBLE
                await self._means.clock.sleep(pause)

    async def turn(self) -> float:
        """Compare what is due, a batch of it, and return how long there is nothing more to do. Raises StoreError."""
        sweeps, clock, state = self._means.sweeps, self._means.clock, self._state
        await self._hear()
        catalog_in = await self._look_for_repositories()
        due = await sweeps.due(clock.now(), BATCH)
        if due and state.busy_since is None:
            state.busy_since = clock.monotonic()
        await self._compare(due)
        await self._tell()
        if state.trouble is not None:
            error, state.trouble = state.trouble, None
            return self._in_trouble(error)
        if due:
            state.troubles = 0
        next_due = await sweeps.next_due()
        pause = _LONGEST_PAUSE if next_due is None else min(_LONGEST_PAUSE, max(0.0, next_due - clock.now()))
        if pause > 0 and state.busy_since is not None:
            self._means.counts.sweep_took(clock.monotonic() - state.busy_since)
            state.busy_since = None
        return min(pause, max(0.0, catalog_in))

    async def _hear(self) -> None:
        """Take over what webhooks told, and put first what may have been missed."""
        sweeps, now = self._means.sweeps, self._means.clock.now()
        told = self._activity.drain()
        try:
            await self._note(told)
        except BaseException:
            self._activity.give_back(changed=told)
            raise
        if self._state.is_first:
            # A former life that was killed did not come to keep what its last seconds told.
            await self._note(await sweeps.told_lately())
            await sweeps.rescoped(self._means.scope, now)
            self._state.is_first = False
        gap = self._activity.take_gap()
        if gap is not None:
            try:
                await sweeps.no_later(min(SOONEST, self._rhythm.every))
                await sweeps.after_gap(gap - self._rhythm.full_every)
            except BaseException:
                self._activity.give_back(gap=gap)  # the store that made the gap may well fail once more
                raise

    async def _note(self, changes: Mapping[Repository, float]) -> None:
        """Keep when repositories changed: after a gap the latest come first."""
        changed = [(one, at) for one, at in changes.items() if one in self._chosen]
        await self._means.sweeps.changed(changed, soon=self._means.clock.now() + self._rhythm.tags_after(0))

    async def _look_for_repositories(self) -> float:
        """Read the list of repositories if that is due; return in how many seconds it is due next."""
        state, now = self._state, self._means.clock.now()
        if now < state.catalog_after:
            return state.catalog_after - now
        try:
            await self._repositories.look(now)
        except (RegistryError, ContentError) as error:
            self._failed(error)
            pause = min(self._rhythm.every, _LONGEST_TROUBLE)
        else:
            pause = self._rhythm.every
        state.catalog_after = now + pause
        return pause

    async def _compare(self, due: Sequence[Swept]) -> None:
        limiter = anyio.CapacityLimiter(_TOGETHER)
        results: list[Swept] = []

        async def one(swept: Swept) -> None:
            async with limiter:
                done = await self._compare_one(swept)
            if done is not None:
                results.append(done)

        try:
            await together([partial(one, swept) for swept in due])
        finally:
            with anyio.CancelScope(shield=True):
                await self._means.sweeps.keep(results)

    async def _compare_one(self, swept: Swept) -> Swept | None:
        if swept.repository not in self._chosen:
            await self._means.sweeps.forget(swept.repository)
            return None
        now = self._means.clock.now()
        try:
            outcome = await self._examiner.examine(swept, digests=wants_digests(swept, now, self._rhythm))
        except StoreError:
            raise
        except (RegistryError, ContentError) as error:
            self._failed(error, repository=swept.repository)
        except Exception:  # noqa: BLE001 -- what nobody foresaw of one repository must not keep the others waiting
            _log.exception(SweepEvent.SWEEP_CRASHED, repository=swept.repository)
            self._means.counts.comparison_failed(Reason.OTHER)
        else:
            return compared(swept, outcome, self._rhythm, self._rng.random())
        current = await self._means.sweeps.one(swept.repository)
        return failed(current or swept, self._means.clock.now(), self._rhythm)

    def _failed(self, error: RegistryError | ContentError, **about: str) -> None:
        _log.warning(SweepEvent.SWEEP_FAILED, reason=error.reason, error=str(error), **about)
        self._means.counts.comparison_failed(error.reason)
        if error.temporary:
            self._state.trouble = error

    def _in_trouble(self, error: ReplicatorError) -> float:
        """Return how long to leave alone who is in trouble: longer each time."""
        if isinstance(error, StoreError):
            _log.warning(SweepEvent.SWEEP_FAILED, reason=error.reason, error=str(error))
        pause = min(_LONGEST_TROUBLE, _TROUBLE * 2.0 ** min(self._state.troubles, 10), max(1.0, self._rhythm.every))
        self._state.troubles += 1
        return max(pause, min(error.retry_after or 0.0, _LONGEST_TROUBLE))

    async def _tell(self) -> None:
        summary = await self._means.sweeps.summary()
        self._means.counts.compared(summary.repositories, summary.tags_at, summary.digests_at)
