"""The senders of the configuration in use: a reload ends all of them before the next ones begin."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import structlog

from replicator.errors import StoreError
from replicator.news import Audience
from replicator.notify.events import NotifyEvent
from replicator.notify.ports import Counts
from replicator.notify.receivers import Receiver
from replicator.notify.sender import Means, Sender
from replicator.observability.labels import NotificationResult
from replicator.store.outbox import MOST_WAITING

REPORT_EVERY: Final = 5.0
"""Seconds between readings of what waits."""
_STORE_PAUSE: Final = 1.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressed:
    """Who is written to under one configuration, and where it is counted."""

    receivers: Sequence[Receiver]
    audience: Audience
    counts: Counts


class Notifications:
    """Runs a sender for each receiver.

    `addressed` are those of now; the event that `exchanged` returns is set when there are others.
    """

    def __init__(
        self, addressed: Callable[[], Addressed], exchanged: Callable[[], anyio.Event], means: Means
    ) -> None:
        self._addressed = addressed
        self._exchanged = exchanged
        self._means = means
        self._senders: dict[str, Sender] = {}
        means.outbox.listen(self._posted)

    async def prepare(self) -> None:
        """Have the store post to the receivers of now: to be done before any copy ends. Raises StoreError."""
        await self._address(self._addressed().audience)

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            exchanged, addressed = self._exchanged(), self._addressed()
            async with anyio.create_task_group() as group:
                await self._address_for_sure(addressed.audience)
                self._senders = {one.name: Sender(one, addressed.counts, self._means) for one in addressed.receivers}
                for sender in self._senders.values():
                    group.start_soon(sender.run)
                if self._senders:
                    group.start_soon(self._report, addressed)
                await exchanged.wait()
                group.cancel_scope.cancel()

    def _posted(self, receivers: frozenset[str]) -> None:
        for name in receivers & self._senders.keys():
            self._senders[name].wake()

    async def _address_for_sure(self, audience: Audience) -> None:
        while True:
            try:
                await self._address(audience)
            except StoreError as error:
                _log.error(NotifyEvent.NOTIFICATIONS_UNKEPT, error=str(error))
                await self._means.clock.sleep(_STORE_PAUSE)
            else:
                return

    async def _address(self, audience: Audience) -> None:
        for receiver, count in (await self._means.outbox.address(audience)).items():
            # It is in no metric any more: its series ended with its name.
            _log.warning(NotifyEvent.NOTIFICATION_DROPPED, receiver=receiver, count=count, result="unconfigured")

    async def _report(self, addressed: Addressed) -> None:
        while True:
            try:
                await self._look(addressed)
            except StoreError as error:
                _log.error(NotifyEvent.NOTIFICATIONS_UNKEPT, error=str(error))
            await self._means.clock.sleep(REPORT_EVERY)

    async def _look(self, addressed: Addressed) -> None:
        """Tell what waits, and drop what is too much. Raises StoreError."""
        outbox, now = self._means.outbox, self._means.clock.now()
        found = await outbox.waiting()
        for name in (one.name for one in addressed.receivers):
            waiting = found.get(name)
            since = now if waiting is None else min(waiting.since, now)
            addressed.counts.notifications_waiting(name, 0 if waiting is None else waiting.count, since)
            over = 0 if waiting is None else waiting.count - MOST_WAITING
            while over > 0:
                dropped = await outbox.drop_oldest(name, over)
                for happening, count in dropped.items():
                    addressed.counts.notification(name, happening, NotificationResult.OVERFLOW, count)
                count = sum(dropped.values())
                _log.warning(
                    NotifyEvent.NOTIFICATION_DROPPED,
                    receiver=name,
                    count=count,
                    result=NotificationResult.OVERFLOW.value,
                )
                over = over - count if count else 0
