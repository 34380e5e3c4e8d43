"""The log lines about deliveries, the same however they came; what anybody could cause without end is held back."""

from typing import Any

import structlog

from replicator.clock import Clock
from replicator.intake.deliveries import Taken
from replicator.intake.throttle import Throttle
from replicator.observability.events import LogEvent
from replicator.observability.labels import WebhookResult


class Telling:
    """Writes them, by the endpoint's (or subscription's) name."""

    def __init__(self, clock: Clock) -> None:
        self._throttle = Throttle(clock)
        self._log = structlog.get_logger()

    def taken(self, endpoint: str, taken: Taken) -> None:
        """Tell what became of a delivery."""
        if taken.unreadable is not None:
            self.warn(endpoint, LogEvent.WEBHOOK_UNREADABLE, delivery=taken.delivery, reason=taken.unreadable)
        if taken.reply is not None:
            self._log.info(LogEvent.WEBHOOK_HANDSHAKE, endpoint=endpoint, delivery=taken.delivery)
        accepted = taken.count(WebhookResult.ACCEPTED)
        write = self._log.info if accepted else self._log.debug
        first = taken.first
        write(
            LogEvent.WEBHOOK_ACCEPTED if accepted else LogEvent.WEBHOOK_NOTHING_NEW,
            endpoint=endpoint,
            delivery=taken.delivery,
            event_id=first.event_id if first else "",
            repository=first.repository if first else "",
            reference=str(first.reference) if first else "",
            **{str(result): count for result, count in taken.results.items() if count},
        )

    def consented(self, endpoint: str) -> None:
        """Tell of a sender that asked whether its events are wanted."""
        if self._throttle.passes(f"{endpoint} {LogEvent.WEBHOOK_HANDSHAKE}") is not None:
            self._log.info(LogEvent.WEBHOOK_HANDSHAKE, endpoint=endpoint)

    def warn(self, endpoint: str, event: LogEvent, **fields: Any) -> None:
        """Warn, with how many such warnings were held back before this one."""
        held_back = self._throttle.passes(f"{endpoint} {event}")
        if held_back is not None:
            self._log.warning(event, endpoint=endpoint, held_back=held_back, **fields)
