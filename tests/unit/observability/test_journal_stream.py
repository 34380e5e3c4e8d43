"""Lines for systemd's journal begin with their priority; lines for anybody else do not."""

import os
import tempfile
from collections.abc import Iterator
from typing import TextIO

import pytest
import structlog

from replicator.observability.journal_stream import leads_to_journal, with_priority
from replicator.observability.logs import configure_logs
from replicator.settings.schema import Log
from tests.support.fake_clock import FakeClock
from tests.support.logging_state import logging_as_before


@pytest.fixture
def stream() -> Iterator[TextIO]:
    with logging_as_before(), tempfile.TemporaryFile("w+") as file:
        yield file


def environ(stream: TextIO) -> dict[str, str]:
    """Return what systemd says of the stream it connected."""
    status = os.fstat(stream.fileno())
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def written(stream: TextIO) -> list[str]:
    stream.seek(0)
    return stream.read().splitlines()


def test_each_level_has_its_priority(stream: TextIO, fake_clock: FakeClock) -> None:
    configure_logs(Log(format="json", level="debug"), stream, clock=fake_clock, environ=environ(stream))
    log = structlog.get_logger()
    for write in (log.debug, log.info, log.warning, log.error, log.critical):
        write("line")
    try:
        raise ValueError("inside")  # noqa: TRY301 -- an error with its trace
    except ValueError:
        log.exception("line")
    assert [line[:4] for line in written(stream)] == ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{", "<3>{"]


@pytest.mark.parametrize("names", [{}, {"JOURNAL_STREAM": ""}, {"JOURNAL_STREAM": "1:2"}])
def test_a_stream_that_leads_elsewhere_has_plain_lines(
    stream: TextIO, fake_clock: FakeClock, names: dict[str, str]
) -> None:
    assert not leads_to_journal(stream, names)
    configure_logs(Log(format="json"), stream, clock=fake_clock, environ=names)
    structlog.get_logger().error("line")
    (line,) = written(stream)
    assert line.startswith("{")


def test_every_line_of_a_trace_has_the_priority() -> None:
    assert with_priority("one\ntwo", "error") == "<3>one\n<3>two"
