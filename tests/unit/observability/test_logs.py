"""What a log line looks like, and what can never be in one."""

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from replicator.observability.logs import configure_logs
from replicator.settings.schema import Log
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock
from tests.support.logging_state import logging_as_before

CANARY = "canary-5f0c1b9e7d"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Full(io.StringIO):
    """A stream on a full disk."""

    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    with logging_as_before():
        yield


@pytest.fixture
def stream(fake_clock: FakeClock) -> io.StringIO:
    stream = io.StringIO()
    configure_logs(Log(level="debug", format="auto"), stream, clock=fake_clock)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_event_level_and_time(stream: io.StringIO) -> None:
    structlog.get_logger().info("update_finished", replica="eu", seconds=1.5, mounted=2)
    assert lines(stream) == [
        {
            "event": "update_finished",
            "level": "info",
            "timestamp": "2023-11-14T22:13:20.000+00:00",
            "replica": "eu",
            "seconds": 1.5,
            "mounted": 2,
        }
    ]


def test_what_is_bound_to_the_context_is_on_every_line(stream: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(replica="eu", repository="team/app"):
        structlog.get_logger().info("one")
    structlog.get_logger().info("two")
    first, second = lines(stream)
    assert (first["replica"], first["repository"]) == ("eu", "team/app")
    assert "replica" not in second


def test_lines_below_the_level_are_not_written(fake_clock: FakeClock) -> None:
    stream = io.StringIO()
    configure_logs(Log(level="warning"), stream, clock=fake_clock)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines(stream)] == ["loud"]


def test_a_terminal_gets_text_for_people(fake_clock: FakeClock) -> None:
    terminal = Terminal()
    configure_logs(Log(), terminal, clock=fake_clock)
    structlog.get_logger().info("update_finished", replica="eu")
    with pytest.raises(json.JSONDecodeError):
        json.loads(terminal.getvalue())
    assert "update_finished" in terminal.getvalue()


def test_the_format_can_be_set_against_the_kind_of_stream(fake_clock: FakeClock) -> None:
    terminal, pipe = Terminal(), io.StringIO()
    configure_logs(Log(format="json"), terminal, clock=fake_clock)
    structlog.get_logger().info("one")
    configure_logs(Log(format="console"), pipe, clock=fake_clock)
    structlog.get_logger().info("two")
    assert lines(terminal)[0]["event"] == "one"
    assert not pipe.getvalue().startswith("{")
    assert "\x1b" not in pipe.getvalue()


def test_messages_of_libraries_come_as_fields_of_our_lines(stream: io.StringIO) -> None:
    logging.getLogger("aiohttp.server").warning("odd %s", "request")
    (line,) = lines(stream)
    assert line["event"] == "library_message"
    assert (line["logger"], line["level"], line["message"]) == ("aiohttp.server", "warning", "odd request")


def test_the_chatter_of_libraries_is_not_logged(stream: io.StringIO) -> None:
    logging.getLogger("alembic").info("running upgrade")
    logging.getLogger("asyncio").debug("using selector")
    assert lines(stream) == []


def test_an_exception_of_a_library_has_its_traceback(stream: io.StringIO) -> None:
    try:
        raise ValueError("broken")  # noqa: TRY301 -- a traceback is what the test needs
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = lines(stream)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"docker_password": CANARY},
        {"Authorization": f"Bearer {CANARY}"},
        {"x-hook-token": CANARY},
        {"identity_token": [CANARY]},
        {"secret": Secret.of_text(CANARY)},
        {"where": Secret.of_text(CANARY)},
        {"request": {"headers": {"authorization": CANARY, "set-cookie": CANARY}}},
        {"nested": [{"token": CANARY}]},
        {"message": f"server said: Authorization: Basic {CANARY}"},
        {"error": f"GET https://user:{CANARY}@host/v2/ failed"},
        {"url": f"https://host/blob?X-Amz-Signature={CANARY}&x=1"},
        {"credentials": f"{CANARY}"},
        {"token": CANARY.encode()},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_no_secret_is_written(fake_clock: FakeClock, form: Any, fields: dict[str, Any]) -> None:
    stream = io.StringIO()
    configure_logs(Log(format=form), stream, clock=fake_clock)
    structlog.get_logger().info("line", **fields)
    assert "***" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_secret_in_an_exception_of_a_library_is_not_written(stream: io.StringIO) -> None:
    try:
        raise ValueError(f"401 for https://host/token?service=x&password={CANARY}")  # noqa: TRY301 -- as above
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "?service=***&password=***" in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_a_secret_file_is_named_but_not_read(stream: io.StringIO, tmp_path: Path) -> None:
    (tmp_path / "hook").write_text(CANARY)
    structlog.get_logger().info("line", which=Secret.of_file(tmp_path / "hook"))
    assert CANARY not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize(
    "hostile", ["a\r\nevent=forged", "\x1b[2J\x1b[31m", "\u202eevil", "nul\x00", "\x9b31m", "\u2028x"]
)
def test_untrusted_text_can_neither_forge_a_line_nor_drive_a_terminal(
    fake_clock: FakeClock, form: Any, hostile: str
) -> None:
    stream = io.StringIO()
    configure_logs(Log(format=form), stream, clock=fake_clock)
    structlog.get_logger().info("line", tag=hostile, inside={hostile: [hostile]})
    assert stream.getvalue().endswith("\n")
    assert stream.getvalue()[:-1].isprintable()


def test_long_text_and_long_lists_are_cut(stream: io.StringIO) -> None:
    structlog.get_logger().info("line", body="x" * 100_000, many=list(range(100_000)))
    (line,) = lines(stream)
    assert len(line["body"]) < 600
    assert len(line["many"]) < 100
    assert len(stream.getvalue()) < 2_000


def test_values_nested_without_end_are_cut(stream: io.StringIO) -> None:
    endless: list[Any] = []
    endless.append(endless)
    structlog.get_logger().info("line", endless=endless)
    assert "..." in stream.getvalue()


def test_plain_words_are_left_as_they_are(stream: io.StringIO) -> None:
    text = "no bearer token and no basic authentication at https://host/v2/; 100% true"
    structlog.get_logger().info("line", message=text, token_requests=3)
    (line,) = lines(stream)
    assert line["message"] == text
    assert line["token_requests"] == 3


def test_a_log_that_cannot_be_written_stops_nothing(fake_clock: FakeClock) -> None:
    configure_logs(Log(), Full(), clock=fake_clock)
    structlog.get_logger().error("lost")
    closed = io.StringIO()
    configure_logs(Log(), closed, clock=fake_clock)
    closed.close()
    logging.getLogger("library").error("lost as well")
