"""From the bytes of an authentic delivery to rows in the store: decode, leave out other hosts, route, record."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from anyio import to_thread

from replicator.clock import Clock
from replicator.correlation import delivery_id
from replicator.errors import StoreError
from replicator.heard import Heard, Unheeded
from replicator.intake.fetching import Fetch, fetch
from replicator.intake.formats.decoded import Decoded, Reply
from replicator.intake.formats.reading import Decoder
from replicator.intake.ports import DeletionSink, IntentSink, Routing, WebhookMetrics
from replicator.model import Change, ChangeKind, Digest, Intent, Recorded
from replicator.observability.labels import UpdateKind, WebhookResult

LARGE_BODY: Final = 256 * 1024
"""Bytes from which on a body is decoded in a thread, so that the event loop goes on answering others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the events of one delivery; `first` is the change that its log line tells.

    `reply` is the answer that the sender needs in place of the usual one.
    """

    delivery: str
    results: Mapping[WebhookResult, int]
    unreadable: str | None = None
    first: Change | None = None
    reply: Reply | None = None

    def count(self, result: WebhookResult) -> int:
        """Return how many events had this result."""
        return self.results.get(result, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What all endpoints share; `fetch` gets what gates need of identity providers and signing services.

    `refused` is called for a delivery that could not be taken though it may be genuine: its sender may give up.
    `missed` is called once events come again, with the time (Unix seconds) from which on some may have been lost.
    """

    sink: IntentSink
    router: Routing
    metrics: WebhookMetrics
    clock: Clock
    fetch: Fetch = fetch
    deletions: DeletionSink | None = None
    refused: Callable[[], None] = field(default=lambda: None)
    missed: Callable[[float], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What became of all intents, in order, and of what each change doomed."""

    recorded: Sequence[Recorded]
    doomed: Sequence[WebhookResult | None]


class Deliveries:
    """The deliveries of one endpoint. Events that name a host not in `hosts` are ignored; no hosts = all count."""

    def __init__(self, endpoint: str, *, decode: Decoder, hosts: Iterable[str], max_body: int, means: Means) -> None:
        self._endpoint = endpoint
        self._decode = decode
        self._hosts = frozenset(map(_host_key, hosts))
        self._max_body = max_body
        self._means = means

    async def take(self, body: bytes, headers: Mapping[str, str]) -> Taken:
        """Return after all that has to be kept of the delivery is on disk. Raises StoreError: to be sent again."""
        decoded = await self._decoded(body, headers)
        now = self._means.clock.now()
        delivery = delivery_id(decoded.changes[0].event_id if decoded.changes else "")
        changes = [replace(change, delivery=delivery) for change in decoded.changes]
        routed = [(change, self._route(change, now)) for change in changes]
        try:
            recorded = await self._record(routed, now)
            doomed = [await self._doom(change, now) for change in changes]
            if decoded.unreadable:
                await self._means.sink.keep_unreadable(self._endpoint, decoded.unreadable[0].reason, body)
        except StoreError:
            self._means.refused()
            events = len(decoded.changes) + len(decoded.irrelevant) + len(decoded.unreadable)
            self._means.metrics.webhook_events(self._endpoint, WebhookResult.UNAVAILABLE, events)
            raise
        return self._counted(decoded, routed, _Kept(recorded, doomed), now, delivery)

    def unjudged(self) -> None:
        """Take note of one that is turned away, since no secret or key can be had to tell whether it is genuine."""
        self._means.refused()

    def repeated(self) -> Taken:
        """Count a delivery that was taken before, as its sender's own id tells, and is not read again."""
        self._means.metrics.webhook_events(self._endpoint, WebhookResult.IGNORED)
        return Taken(delivery=delivery_id(""), results={WebhookResult.IGNORED: 1})

    async def _decoded(self, body: bytes, headers: Mapping[str, str]) -> Decoded:
        if len(body) < LARGE_BODY:
            return self._decode(body, headers, limit=self._max_body)
        return await to_thread.run_sync(partial(self._decode, body, headers, limit=self._max_body))

    def _route(self, change: Change, now: float) -> tuple[Intent, ...]:
        return self._means.router.route(change, now) if self._is_ours(change) else ()

    def _is_ours(self, change: Change) -> bool:
        return not self._hosts or change.host is None or _host_key(change.host) in self._hosts

    async def _doom(self, change: Change, now: float) -> WebhookResult | None:
        """Have deleted on replicas what the primary deleted; None where that is nothing."""
        if change.kind is not ChangeKind.DELETE:
            return None
        deletions, sink = self._means.deletions, self._means.sink
        doomed = self._means.router.doomed(change, now) if self._is_ours(change) else ()
        heard = [self._heard(change, now, len(doomed))]
        if deletions is None or not doomed:
            sink.overhear(heard)
            return None
        added = await deletions.add_deletions(doomed, heard)
        for deletion, count in zip(doomed, added, strict=True):
            for _ in range(count):
                self._means.metrics.update_owed(deletion.key.replica, UpdateKind.DELETE)
        return WebhookResult.ACCEPTED if any(added) else WebhookResult.COALESCED

    async def _record(self, routed: Sequence[tuple[Change, tuple[Intent, ...]]], now: float) -> tuple[Recorded, ...]:
        heard = [
            self._heard(change, now, len(made)) for change, made in routed if change.kind is not ChangeKind.DELETE
        ]
        intents = [intent for _, made in routed for intent in made]
        if intents:
            return await self._means.sink.record(intents, heard)
        if heard:
            self._means.sink.overhear(heard)
        return ()

    def _heard(self, change: Change, now: float, made: int) -> Heard:
        unheeded = None
        if not made:
            unheeded = Unheeded.NO_RULE if self._is_ours(change) else Unheeded.OTHER_HOST
        return Heard(change=change, endpoint=self._endpoint, at=now, made=made, unheeded=unheeded)

    def _counted(
        self,
        decoded: Decoded,
        routed: Sequence[tuple[Change, tuple[Intent, ...]]],
        kept: _Kept,
        now: float,
        delivery: str,
    ) -> Taken:
        metrics = self._means.metrics
        results: Counter[WebhookResult] = Counter()
        answers = iter(kept.recorded)
        for (change, intents), doomed in zip(routed, kept.doomed, strict=True):
            made = [next(answers) for _ in intents]
            results[doomed or _result(made)] += 1
            for intent, answer in zip(intents, made, strict=True):
                if answer is Recorded.ACCEPTED:
                    metrics.update_owed(intent.key.replica, _kind(change))
            if change.happened_at is not None:
                metrics.delivery_delayed(self._endpoint, now - change.happened_at)
        results[WebhookResult.IGNORED] += len(decoded.irrelevant)
        results[WebhookResult.UNPARSABLE] += len(decoded.unreadable)
        for result, count in results.items():
            if count:
                metrics.webhook_events(self._endpoint, result, count)
        return Taken(
            delivery=delivery,
            results=results,
            unreadable=decoded.unreadable[0].reason if decoded.unreadable else None,
            first=decoded.changes[0] if decoded.changes else None,
            reply=decoded.reply,
        )


def _result(recorded: Sequence[Recorded]) -> WebhookResult:
    if Recorded.ACCEPTED in recorded:
        return WebhookResult.ACCEPTED
    return WebhookResult.COALESCED if recorded else WebhookResult.IGNORED


def _kind(change: Change) -> UpdateKind:
    if change.kind is ChangeKind.DELETE:
        return UpdateKind.DELETE
    return UpdateKind.DIGEST if isinstance(change.reference, Digest) else UpdateKind.TAG


def _host_key(host: str) -> str:
    # Clients may write the default port or leave it out.
    return host.lower().removesuffix(":443")
