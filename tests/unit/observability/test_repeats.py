"""Warnings that repeat are written some times a minute, and none of the others is forgotten."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from replicator.observability.events import LogEvent
from replicator.observability.logs import configure_logs
from replicator.observability.repeats import MINUTE, MOST_A_MINUTE, tell_held_back
from replicator.settings.schema import Log
from tests.support.fake_clock import FakeClock
from tests.support.logging_state import logging_as_before


@pytest.fixture
def stream(fake_clock: FakeClock) -> Iterator[io.StringIO]:
    with logging_as_before():
        stream = io.StringIO()
        configure_logs(Log(format="json"), stream, clock=fake_clock)
        yield stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def warn(times: int, **fields: object) -> None:
    for number in range(times):
        structlog.get_logger().warning("reference_failed", attempt=number, **fields)


def test_what_is_over_the_limit_is_counted_and_told_once_when_the_minute_is_over(
    stream: io.StringIO, fake_clock: FakeClock
) -> None:
    warn(MOST_A_MINUTE + 7, replica="eu", reason="timeout")
    assert [line["attempt"] for line in lines(stream)] == list(range(MOST_A_MINUTE))
    tell_held_back()
    assert len(lines(stream)) == MOST_A_MINUTE, "the minute is not over"
    fake_clock.advance(MINUTE)
    tell_held_back()
    tell_held_back()
    *_, told = lines(stream)
    assert len(lines(stream)) == MOST_A_MINUTE + 1
    assert (told["event"], told["of"], told["count"]) == (LogEvent.LINES_HELD_BACK, "reference_failed", 7)
    assert (told["replica"], told["reason"], told["level"]) == ("eu", "timeout", "warning")


def test_the_next_minute_begins_anew(stream: io.StringIO, fake_clock: FakeClock) -> None:
    warn(MOST_A_MINUTE + 1, replica="eu")
    fake_clock.advance(MINUTE)
    warn(1, replica="eu")
    assert [line["event"] for line in lines(stream)[-2:]] == [LogEvent.LINES_HELD_BACK, "reference_failed"]


@pytest.mark.parametrize("field", ["replica", "endpoint", "registry", "reason"])
def test_what_is_about_something_else_is_not_a_repeat(stream: io.StringIO, field: str) -> None:
    warn(MOST_A_MINUTE + 1, **{field: "one"})
    warn(1, **{field: "other"})
    assert lines(stream)[-1][field] == "other"


def test_what_succeeded_is_never_held_back(stream: io.StringIO) -> None:
    for _ in range(3 * MOST_A_MINUTE):
        structlog.get_logger().info("reference_replicated", replica="eu")
    assert len(lines(stream)) == 3 * MOST_A_MINUTE


def test_at_the_end_all_is_told_and_a_new_set_up_tells_of_the_old(stream: io.StringIO, fake_clock: FakeClock) -> None:
    warn(MOST_A_MINUTE + 2)
    tell_held_back(all_of_them=True)
    assert lines(stream)[-1]["count"] == 2
    warn(MOST_A_MINUTE + 3)
    configure_logs(Log(format="json"), io.StringIO(), clock=fake_clock)
    assert lines(stream)[-1]["count"] == 3


def test_what_was_held_back_is_not_told_as_if_it_were_of_the_work_under_way(
    stream: io.StringIO, fake_clock: FakeClock
) -> None:
    warn(MOST_A_MINUTE + 1, replica="eu")
    fake_clock.advance(MINUTE)
    with structlog.contextvars.bound_contextvars(delivery="other"):
        tell_held_back()
    assert "delivery" not in lines(stream)[-1]
