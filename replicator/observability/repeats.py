"""Warnings that repeat are held back: the first few of a minute are written, the others counted and told of once.

What succeeded is never held back, so that lines can be counted.
"""

import logging
import threading
from contextvars import Context
from dataclasses import dataclass
from typing import Final

import structlog
from structlog.typing import EventDict, WrappedLogger

from replicator.clock import Clock
from replicator.observability.events import LogEvent

MOST_A_MINUTE: Final = 30
"""Lines that are the same but for what they are about."""
MINUTE: Final = 60.0
_SAME = ("replica", "endpoint", "registry", "receiver", "reason", "logger")
_LOUD: Final = frozenset({"warning", "error", "critical"})

_Key = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Window:
    """A minute of one kind of line: when it ends by the monotonic clock, and how many lines came."""

    ends: float
    lines: int = 0


class Repeats:
    """A structlog processor: drops what comes more than MOST_A_MINUTE times. Lines may come from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: dict[_Key, _Window] = {}
        self._gate = threading.Lock()

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Return the line, or raise DropEvent."""
        if event.get("level") not in _LOUD or event["event"] == LogEvent.LINES_HELD_BACK:
            return event
        self.tell()
        key = (("of", str(event["event"])), *((name, str(event[name])) for name in _SAME if name in event))
        with self._gate:
            window = self._windows.setdefault(key, _Window(self._clock.monotonic() + MINUTE))
            window.lines += 1
            if window.lines > MOST_A_MINUTE:
                raise structlog.DropEvent
        return event

    def tell(self, *, all_of_them: bool = False) -> None:
        """Write one line about each kind whose minute is over and of which lines were held back."""
        now = self._clock.monotonic()
        with self._gate:
            over = {key: one for key, one in self._windows.items() if all_of_them or one.ends <= now}
            for key in over:
                del self._windows[key]
        for key, window in over.items():
            if window.lines > MOST_A_MINUTE:
                _write(key, window.lines - MOST_A_MINUTE)


def tell_held_back(*, all_of_them: bool = False) -> None:
    """Have the logging that is set up write what it counted; to be called every few seconds, and before an end."""
    for processor in structlog.get_config()["processors"]:
        if isinstance(processor, Repeats):
            processor.tell(all_of_them=all_of_them)


def _write(key: _Key, count: int) -> None:
    # In a context of its own: the line is not about what is just being worked on.
    logger = structlog.get_logger()
    Context().run(logger.log, logging.WARNING, LogEvent.LINES_HELD_BACK, count=count, **dict(key))
