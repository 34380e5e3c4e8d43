"""Delivers what waits for one receiver: a few at once, what fails again later, one alone while nothing gets there."""

import random
from dataclasses import dataclass
from typing import Final

import aiohttp
import anyio
import structlog
from anyio.abc import TaskGroup

from replicator.clock import Clock
from replicator.errors import Reason, StoreError
from replicator.notify.events import NotifyEvent
from replicator.notify.ports import Counts, Outbox
from replicator.notify.posting import AT_ONCE, open_client, post
from replicator.notify.receivers import Receiver
from replicator.notify.verdicts import DeliveryFailed, after_failure
from replicator.observability.labels import NotificationResult
from replicator.retry import Breaker, RetryPolicy
from replicator.store.outbox import Message

_PROBES: Final = RetryPolicy(first=1.0, max=30.0)
_STORE_PAUSE: Final = 5.0
_LONGEST_WAIT: Final = 60.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What senders work with."""

    outbox: Outbox
    clock: Clock
    rng: random.Random


class Sender:
    """Sends to one receiver until it is cancelled; then what was under way is sent again by the next sender."""

    def __init__(self, receiver: Receiver, counts: Counts, means: Means) -> None:
        self._receiver = receiver
        self._counts = counts
        self._means = means
        self._breaker = Breaker()
        self._rest_until = 0.0
        # What failed before it began may succeed now: its settings changed, or time passed.
        self._ailing = True
        self._under_way: set[int] = set()
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Look at once for what is due."""
        self._woken.set()

    async def run(self) -> None:
        """Send whatever is due, again and again; first of all what failed before."""
        async with open_client(self._receiver) as client, anyio.create_task_group() as group:
            try:
                await self._try_all_again()
            except StoreError as error:
                self._unkept(error)
            while True:
                self._woken = anyio.Event()
                try:
                    wait = await self._begin(client, group)
                except StoreError as error:
                    self._unkept(error)
                    wait = _STORE_PAUSE
                await self._sleep(wait)

    async def _begin(self, client: aiohttp.ClientSession, group: TaskGroup) -> float:
        """Begin what is due and may go now; return for how long nothing else will. Raises StoreError."""
        clock, working = self._means.clock, len(self._under_way)
        resting = (
            max(self._rest_until, self._breaker.open_until if self._breaker.tripped else 0.0) - clock.monotonic()
        )
        if resting > 0:
            return resting
        room = self._breaker.room(clock.monotonic(), working, AT_ONCE)
        if room <= 0:
            return _LONGEST_WAIT  # whatever ends next wakes it
        first = await self._means.outbox.first(self._receiver.name, AT_ONCE + working + 1)
        # Read after the question: what ended meanwhile is not there any more, or is due later.
        waiting = [one for one in first if one.number not in self._under_way]
        now = clock.now()
        for message in waiting[:room]:
            if message.due_at <= now:
                self._under_way.add(message.number)
                group.start_soon(self._send, client, message)
        later = [one.due_at - now for one in waiting if one.number not in self._under_way]
        return min([max(0.0, one) for one in later if one > 0] or [_LONGEST_WAIT])

    async def _send(self, client: aiohttp.ClientSession, message: Message) -> None:
        clock = self._means.clock
        error = await self._try(client, message)
        try:
            await (self._delivered(message) if error is None else self._failed(message, error))
        except StoreError as trouble:
            # It stays as it was, and is sent again.
            self._unkept(trouble)
            self._rest_until = clock.monotonic() + _STORE_PAUSE
        finally:
            self._under_way.discard(message.number)
            self.wake()

    async def _try(self, client: aiohttp.ClientSession, message: Message) -> DeliveryFailed | None:
        try:
            await post(client, self._receiver, message.name, message.body, now=self._means.clock.now())
        except DeliveryFailed as error:
            return error
        except Exception as error:  # noqa: BLE001 -- the sender's edge: one receiver must not stop the daemon
            _log.exception(NotifyEvent.NOTIFICATION_CRASHED, receiver=self._receiver.name)
            return DeliveryFailed(f"unexpected {type(error).__name__}; see the log", reason=Reason.OTHER)
        return None

    async def _delivered(self, message: Message) -> None:
        means, name = self._means, self._receiver.name
        self._counts.notification(name, message.happening, NotificationResult.DELIVERED)
        _log.info(NotifyEvent.NOTIFICATION_DELIVERED, **self._fields(message))
        self._breaker = self._breaker.succeeded()
        await means.outbox.drop(message.number)
        await self._try_all_again()

    async def _try_all_again(self) -> None:
        if self._ailing:
            await self._means.outbox.make_due(self._receiver.name, self._means.clock.now())
            self._ailing = False

    async def _failed(self, message: Message, error: DeliveryFailed) -> None:
        means, clock = self._means, self._means.clock
        self._ailing = self._ailing or not error.is_about_message
        self._breaker = self._breaker.failed(error, clock.monotonic(), _PROBES, means.rng.random())
        if error.retry_after is not None:
            self._rest_until = max(self._rest_until, clock.monotonic() + error.retry_after)
        verdict = after_failure(
            error,
            attempts=message.attempts,
            created_at=message.created_at,
            now=clock.now(),
            chance=means.rng.random(),
        )
        self._counts.notification(self._receiver.name, message.happening, verdict.result)
        why = {"reason": error.reason.value, "error": str(error)}
        if verdict.at is None:
            _log.warning(
                NotifyEvent.NOTIFICATION_DROPPED, **self._fields(message), **why, result=verdict.result.value
            )
            await means.outbox.drop(message.number)
        else:
            in_seconds = round(verdict.at - clock.now(), 1)
            _log.warning(NotifyEvent.NOTIFICATION_FAILED, **self._fields(message), **why, again_in=in_seconds)
            await means.outbox.again(message.number, verdict.at)

    def _fields(self, message: Message) -> dict[str, object]:
        return {
            "receiver": self._receiver.name,
            "notification": message.happening.value,
            "id": message.name,
            "attempts": message.attempts + 1,
        }

    def _unkept(self, error: StoreError) -> None:
        _log.error(NotifyEvent.NOTIFICATIONS_UNKEPT, receiver=self._receiver.name, error=str(error))

    async def _sleep(self, seconds: float) -> None:
        """Return after `seconds`, sooner when woken."""

        async def time_out(scope: anyio.CancelScope) -> None:
            await self._means.clock.sleep(seconds)
            scope.cancel()

        woken = self._woken
        if woken.is_set():
            return
        async with anyio.create_task_group() as group:
            group.start_soon(time_out, group.cancel_scope)
            await woken.wait()
            group.cancel_scope.cancel()
