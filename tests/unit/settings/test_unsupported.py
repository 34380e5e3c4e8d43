"""What is not built yet is refused, all of it, and by nothing but its row in the table."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from replicator.settings.fields import Surroundings
from replicator.settings.schema import PrimarySettings, Settings
from replicator.settings.unsupported import ROWS, Row, refuse_unsupported
from tests.unit.settings.files import BASE, mistakes

FUTURE: dict[str, Any] = {
    "version": 1,
    "primary": {"url": "https://registry.example.com", "bandwidth": "100MiB/s"},
    "replicas": [
        {"name": "eu-west", "url": "https://eu.example.com"},
        {"name": "eu-north", "url": "https://north.example.com", "source": "eu-west"},
    ],
    "rules": [
        {"deletes": "propagate"},
    ],
    "deletes": {"grace": "2h", "protect": ["**:prod-*"], "breaker": {"count": 10, "percent": 1.5}},
}


def test_the_schema_knows_what_the_rows_refuse() -> None:
    """A feature is let in by deleting its row: its keys are understood already."""
    settings = Settings.model_validate(FUTURE, context=Surroundings(Path("/"), {}))
    assert settings.primary.bandwidth == 100 << 20
    assert settings.replicas[1].source == "eu-west"
    rule = settings.rules[0]
    assert rule.deletes == "propagate"
    assert (settings.deletes.grace, settings.deletes.breaker.percent) == (7200.0, 1.5)


def test_a_rate_has_a_unit_of_time() -> None:
    with pytest.raises(ValidationError, match="write a size and /s, as in 50MiB/s"):
        PrimarySettings.model_validate({"url": "https://registry.example.com", "bandwidth": "50MiB"})


@pytest.mark.parametrize(
    ("text", "often", "shown"), [("10/s", 10, "10/s"), ("600/m", 10, "10/s"), ("5000/h", 1.3889, "5000/h")]
)
def test_a_frequency_is_how_often_a_second(text: str, often: float, shown: str) -> None:
    primary = PrimarySettings.model_validate({"url": "https://registry.example.com", "requests": text})
    assert primary.requests == pytest.approx(often, rel=1e-4)
    assert primary.model_dump(mode="json")["requests"] == shown


@pytest.mark.parametrize("text", ["0/s", "10", "10/d", "-1/s", "1.5/s"])
def test_what_is_no_frequency_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="write a whole number and /s, /m or /h, as in 10/s"):
        PrimarySettings.model_validate({"url": "https://registry.example.com", "requests": text})


def test_each_use_is_a_mistake_and_taken_out_of_the_data() -> None:
    data, found = refuse_unsupported(FUTURE)
    assert [mistake.path for mistake in found] == [
        ("replicas", 1, "source"),
    ]
    assert refuse_unsupported(data) == (data, [])
    assert FUTURE["replicas"][1]["source"] == "eu-west"


def test_no_rows_let_everything_through() -> None:
    assert refuse_unsupported(FUTURE, ()) == (FUTURE, [])


CASES = {
    "a tree of replicas": (
        BASE + "  - {name: other, url: https://other.example.com, source: eu-west}",
        "5: replicas[1].source: anything but primary is not supported yet; write source: primary or remove the key",
    ),
}


@pytest.mark.parametrize(("text", "expected"), CASES.values(), ids=CASES)
def test_a_refusal_says_what_may_be_written_meanwhile(tmp_path: Path, text: str, expected: str) -> None:
    assert mistakes(tmp_path, text) == [expected]


def test_a_key_without_an_off_value_is_to_be_removed() -> None:
    (mistake,) = refuse_unsupported({"later": {"grace": "1h"}}, [Row("later")])[1]
    assert (mistake.path, mistake.wrong, mistake.right) == (("later",), "is not supported yet", "remove the key")


@pytest.mark.parametrize("value", ["on", ["on"], {"sweep": "on"}])
def test_more_than_the_off_value_is_not_supported(value: object) -> None:
    (mistake,) = refuse_unsupported({"later": value}, [Row("later", off=("off",))])[1]
    assert mistake.wrong == "anything but off is not supported yet"
    assert mistake.right == "write later: off or remove the key"


def test_off_values_are_compared_with_their_type() -> None:
    """0 equals false in Python, not in a file."""
    row = Row("sweep", off=("off", False))
    assert [mistake.path for mistake in refuse_unsupported({"sweep": 0}, [row])[1]] == [("sweep",)]


def test_each_row_is_there_once() -> None:
    assert len({row.path for row in ROWS}) == len(ROWS)
