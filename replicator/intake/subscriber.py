"""One subscription: connected again and again, each message on disk before it is acknowledged.

A dead server never ends it, and never the daemon: it is told of in the log and the metric, and tried again.
"""

import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Final

import anyio
import structlog

from replicator.clock import Clock
from replicator.errors import StoreError
from replicator.intake.answers import RETRY_SECONDS
from replicator.intake.inlets import Inlet
from replicator.intake.nats_connection import FeedLost
from replicator.intake.nats_feed import Feed, Message, Source, feed_of
from replicator.intake.telling import Telling
from replicator.observability.events import LogEvent
from replicator.observability.labels import WebhookResult
from replicator.settings.subscriptions import AUTO, Subscription

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds between two tries to connect; up to half less, by chance."""
COMMIT_SECONDS: Final = 30.0
"""A commit that takes longer is begun again."""
_LEFT_SECONDS: Final = 5.0
"""How long what has come already is taken when the subscription ends."""

Connect = Callable[[Subscription, Clock], AbstractAsyncContextManager[Feed]]


class Subscriber:
    """Takes the messages of one subscription.

    `inlet` is asked for each message, so that it may be exchanged; None once the subscription is configured no more.
    `is_used` says whether this is the one that runs: another may have begun under the same name while it ends.
    """

    def __init__(
        self,
        settings: Subscription,
        inlet: Callable[[], Inlet | None],
        *,
        clock: Clock,
        rng: random.Random,
        connect: Connect = feed_of,
        is_used: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._inlet = inlet
        self._clock = clock
        self._rng = rng
        self._connect = connect
        self._is_used = is_used
        self._telling = Telling(clock)
        self._log = structlog.get_logger()
        self._failures = 0
        self._begun_at = clock.now()
        self._lost_at: float | None = None

    async def run(self) -> None:
        """Take messages until cancelled."""
        while True:
            try:
                async with self._connect(self._settings, self._clock) as feed:
                    self._opened(feed)
                    try:
                        problem = await self._follow(feed)
                    finally:
                        self._lost_at = None if feed.stream else self._clock.now()
            except FeedLost as error:
                problem = str(error)
            except Exception:  # noqa: BLE001 -- the edge: a mistake of ours or of the library's must not end the daemon
                self._log.exception(LogEvent.SUBSCRIPTION_LOST, endpoint=self._settings.name)
                problem = "an error of the program"
            finally:
                self._connected(now=False)
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**self._failures) * (1 - self._rng.random() / 2)
            self._failures = min(self._failures + 1, 16)
            self._telling.warn(
                self._settings.name, LogEvent.SUBSCRIPTION_LOST, problem=problem, again_in=round(pause, 1)
            )
            await self._clock.sleep(pause)

    def _opened(self, feed: Feed) -> None:
        self._failures = 0
        self._connected(now=True)
        self._tell_of_gap(feed)
        unkept = not feed.stream and self._settings.stream == AUTO
        (self._log.warning if unkept else self._log.info)(
            LogEvent.SUBSCRIPTION_OPENED,
            endpoint=self._settings.name,
            server=feed.server,
            subject=self._settings.subject,
            stream=feed.stream,
            **({"note": "no stream keeps the subject: what comes while we are away is lost"} if unkept else {}),
        )

    def _tell_of_gap(self, feed: Feed) -> None:
        """Tell since when events may be lost, where no stream kept them: before the first time, and in between."""
        inlet, since = self._inlet(), self._lost_at
        if since is None and not feed.stream:
            since = self._begun_at
        if inlet is not None and since is not None:
            inlet.missed(since)

    async def _follow(self, feed: Feed) -> str:
        """Take what comes until nothing does any more, and return why."""
        problems: list[str] = []
        try:
            async with anyio.create_task_group() as group:

                async def work(source: Source) -> None:
                    try:
                        while True:
                            await self._take(await source.next(), feed)
                    except FeedLost as error:
                        problems.append(str(error))
                        group.cancel_scope.cancel()

                for source in feed.sources:
                    group.start_soon(work, source)
                await feed.trouble.ended.wait()
                group.cancel_scope.cancel()
        finally:
            await self._take_what_is_left(feed)
        return feed.trouble.problem or next(iter(problems), "the connection broke")

    async def _take_what_is_left(self, feed: Feed) -> None:
        source = feed.sources[0]
        with anyio.move_on_after(_LEFT_SECONDS, shield=True):
            try:
                while source.left():
                    await self._take(await source.next(), feed)
            except FeedLost:
                return

    async def _take(self, message: Message, feed: Feed) -> None:
        """Return once the message is on disk and acknowledged, or refused for good."""
        inlet = self._inlet()
        if inlet is None:
            return
        self._count_overrun(feed, inlet)
        if len(message.body) > self._settings.max_body:
            inlet.metrics.webhook_events(self._settings.name, WebhookResult.TOO_LARGE)
            reason = f"the body is over the limit of {self._settings.max_body} bytes"
            self._telling.warn(self._settings.name, LogEvent.WEBHOOK_REFUSED, reason=reason)
            await message.dropped()
            return
        started = self._clock.monotonic()
        while not await self._committed(message, inlet):
            await message.waiting()
            await self._clock.sleep(RETRY_SECONDS)
            inlet = self._inlet() or inlet
        inlet.metrics.webhook_answered(self._settings.name, self._clock.monotonic() - started)

    async def _committed(self, message: Message, inlet: Inlet) -> bool:
        """Put the message on disk and acknowledge it; False while the store cannot."""
        try:
            # Not to be cut off between the commit and the acknowledgement.
            with anyio.fail_after(COMMIT_SECONDS, shield=True):
                taken = await inlet.deliveries.take(message.body, message.headers)
                await message.done()
        except (StoreError, TimeoutError) as error:
            self._telling.warn(self._settings.name, LogEvent.WEBHOOK_UNAVAILABLE, reason=str(error) or "timeout")
            return False
        except FeedLost:
            raise
        except Exception:  # noqa: BLE001 -- the edge: what nobody foresaw of one message must not end the others
            await self._given_up(message, inlet)
            return True
        self._telling.taken(self._settings.name, taken)
        return True

    async def _given_up(self, message: Message, inlet: Inlet) -> None:
        """Have a message at which a bug was met come no more: a sweep looks for what it told."""
        self._log.exception(LogEvent.SUBSCRIPTION_CRASHED, endpoint=self._settings.name)
        inlet.metrics.webhook_events(self._settings.name, WebhookResult.UNPARSABLE)
        inlet.missed(self._clock.now())
        await message.dropped()

    def _count_overrun(self, feed: Feed, inlet: Inlet) -> None:
        lost, feed.trouble.overrun = feed.trouble.overrun, 0
        if lost:
            inlet.metrics.webhook_events(self._settings.name, WebhookResult.UNAVAILABLE, lost)
            inlet.missed(self._clock.now())
            self._telling.warn(self._settings.name, LogEvent.SUBSCRIPTION_OVERRUN, lost=lost)

    def _connected(self, *, now: bool) -> None:
        inlet = self._inlet()
        if inlet is not None and self._is_used():
            inlet.metrics.subscription_connected(self._settings.name, connected=now)
