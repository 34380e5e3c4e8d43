"""Log lines: structlog on one stream, as JSON or for a terminal, and the standard library's logging led into it."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partialmethod
from types import MappingProxyType
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from replicator.clock import Clock
from replicator.observability.events import LogEvent
from replicator.observability.journal_stream import leads_to_journal, with_priority
from replicator.observability.redaction import redact
from replicator.observability.repeats import Repeats, tell_held_back
from replicator.settings.schema import Log

_LEVELS: Final[dict[str, int]] = logging.getLevelNamesMapping()


def configure_logs(
    log: Log, stream: TextIO, *, clock: Clock, environ: Mapping[str, str] = MappingProxyType(os.environ)
) -> None:
    """Send all log lines of this process to `stream`, as `log` says; `auto` is console on a terminal, else JSON.

    Every line has `event`, `level`, `timestamp` (ISO 8601, UTC) and the bound context variables; secrets are masked,
    repeats held back. Where `environ` says that the stream leads to systemd's journal, lines begin with a priority.
    """
    tell_held_back(all_of_them=True)
    journal = leads_to_journal(stream, environ)
    threshold = _LEVELS[log.level.upper()]
    console = log.format == "console" or (log.format == "auto" and stream.isatty())
    structlog.configure(
        processors=_processors(clock, console=console, colors=stream.isatty()),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(stream, journal=journal),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    root.handlers[:] = [_IntoStructlog()]
    # Libraries speak up from warnings on: their chatter below it names URLs and statements.
    root.setLevel(max(threshold, logging.WARNING))


def _processors(clock: Clock, *, console: bool, colors: bool) -> list[Processor]:
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        Repeats(clock),
        _stamp(clock),
        structlog.processors.format_exc_info,
        redact,
        renderer,
    ]


def _stamp(clock: Clock) -> Callable[[WrappedLogger, str, EventDict], EventDict]:
    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["timestamp"] = datetime.fromtimestamp(clock.now(), UTC).isoformat(timespec="milliseconds")
        return event

    return stamp


class _Lines:
    """Writes finished lines. A log that cannot be written (full disk, closed pipe) must not stop the work."""

    def __init__(self, stream: TextIO, *, journal: bool) -> None:
        self._stream = stream
        self._journal = journal

    def _write(self, level: str, line: str) -> None:
        text = with_priority(line, level) if self._journal else line
        with suppress(OSError, ValueError):
            self._stream.write(f"{text}\n")
            self._stream.flush()

    debug = partialmethod(_write, "debug")
    info = partialmethod(_write, "info")
    warning = partialmethod(_write, "warning")
    error = partialmethod(_write, "error")
    critical = partialmethod(_write, "critical")


class _IntoStructlog(logging.Handler):
    """Hands a library's record on as one line of ours; its text is a field, since it may hold anything."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info is not None and record.exc_info[0] is not None:
            fields["exc_info"] = record.exc_info
        logger = structlog.get_logger()
        logger.log(record.levelno, LogEvent.LIBRARY_MESSAGE, **fields)
