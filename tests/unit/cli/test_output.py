"""What commands print: aligned for pipes, and never able to steer a terminal."""

import json

import pytest

from replicator.cli.output import bytes_text, counted, print_json, print_table, printable, seconds_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.04, "0.0s"),
        (59.94, "59.9s"),
        (60, "1m00s"),
        (192, "3m12s"),
        (3599, "59m59s"),
        (7500, "2h05m"),
        (86400 + 3 * 3600, "1d03h"),
        (1e9, "11574d01h"),
    ],
)
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0KiB"),
        (1536 << 10, "1.5MiB"),
        (10 << 30, "10.0GiB"),
        (5 << 40, "5.0TiB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert bytes_text(count) == text


def test_one_is_not_many() -> None:
    assert [counted(count, "tag") for count in (0, 1, 2)] == ["0 tags", "1 tag", "2 tags"]
    assert [counted(count, "try", "tries") for count in (0, 1, 2)] == ["0 tries", "1 try", "2 tries"]


def test_a_table_for_pipes_is_aligned_and_keeps_long_cells(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "ERROR"), [("eu", "x" * 300), ("us-east", "-")])
    assert capsys.readouterr().out.splitlines() == ["NAME     ERROR", f"eu       {'x' * 300}", "us-east  -"]


def test_control_characters_never_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME",), [("a\x1b[31mb\r\n\u202ec[bold]",)])
    out = capsys.readouterr().out
    assert out == "NAME\na?[31mb???c[bold]\n"
    assert printable("\x9b") == "?"


def test_json_is_ascii_whatever_it_holds(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"message": "\x1b\u202e\xe9"}, compact=True)
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    assert json.loads(out) == {"message": "\x1b\u202e\xe9"}
