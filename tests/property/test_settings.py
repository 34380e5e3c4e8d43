"""Properties of the units, of whole configurations, and of the reader on any bytes."""

import tempfile
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import yaml
from hypothesis import strategies as st

from replicator.errors import SettingsError
from replicator.settings.document import read_document
from replicator.settings.load import load
from replicator.settings.show import effective
from replicator.settings.units import (
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)

NUMBERS = st.integers(0, 999_999_999)
DURATIONS = st.builds(lambda number, unit: f"{number}{unit}", NUMBERS, st.sampled_from(["ms", "s", "m", "h", "d"]))
SIZES = st.builds(lambda number, unit: f"{number}{unit}", NUMBERS, st.sampled_from(["B", "KiB", "MiB", "GiB"]))
SHORT = st.builds(lambda number, unit: f"{number}{unit}", st.integers(1, 59), st.sampled_from(["ms", "s", "m"]))


@hypothesis.given(DURATIONS)
def test_a_duration_is_the_same_after_writing_it_anew(text: str) -> None:
    seconds = parse_duration(text)
    written = format_duration(seconds)
    assert parse_duration(written) == seconds if seconds < 1e9 else seconds >= 1e9
    assert len(written) <= len(text) + 3


@hypothesis.given(NUMBERS)
def test_the_units_of_durations(number: int) -> None:
    assert parse_duration(f"{number}s") == number
    assert parse_duration(f"{number}m") == 60 * number
    assert parse_duration(f"{number}h") == 3600 * number
    assert parse_duration(f"{number}d") == 86400 * number
    assert parse_duration(f"{number}ms") == pytest.approx(number / 1000)


@hypothesis.given(SIZES)
def test_sizes_and_rates_are_the_same_after_writing_them_anew(text: str) -> None:
    size = parse_size(text)
    assert parse_rate(f"{text}/s") == size
    if size < 999_999_999 << 30:
        assert parse_size(format_size(size)) == size
        assert parse_rate(format_rate(size)) == size


@hypothesis.given(st.text())
@hypothesis.example("1 s")
@hypothesis.example("1.5s")
@hypothesis.example("-1s")
@hypothesis.example("1S")
@hypothesis.example("1s\n")
@hypothesis.example("\u0661s")
@hypothesis.example("8MB")
@hypothesis.example("9999999999s")
def test_other_text_is_refused(text: str) -> None:
    for parse, units in ((parse_duration, ("ms", "s", "m", "h", "d")), (parse_size, ("B", "KiB", "MiB", "GiB"))):
        well_formed = any(
            text.endswith(unit) and text.removesuffix(unit).isdecimal() and text.isascii() and len(text) < 10
            for unit in units
        )
        if not well_formed:
            with pytest.raises(ValueError, match="not a"):
                parse(text)


REGISTRIES = st.fixed_dictionaries(
    {},
    optional={
        "max_connections": st.integers(1, 1000),
        "realm_allow": st.lists(st.sampled_from(["auth.example.com", "10.0.0.1:5001", "[::1]:443"]), max_size=2),
        "credentials": st.sampled_from(
            [{"username": "me", "password_env": "SECRET"}, {"token_env": "SECRET"}, {"identity_token_env": "SECRET"}]
        ),
    },
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "repositories": st.lists(st.sampled_from(["team/**", "!x", "regex:a+"]), min_size=1),
        "tags": st.lists(st.sampled_from(["v*", "!*-dev", "semver:>=1"]), min_size=1),
        "replicas": st.sampled_from([["a"], ["b"], ["b", "a"]]),
        "priority": st.sampled_from(["high", "normal", "low"]),
        "platforms": st.just("all"),
    },
)
AUTH = st.sampled_from(
    [
        "none",
        {"bearer_token_env": "SECRET"},
        {"basic": {"username": "me", "password_env": "SECRET"}},
        {"header": {"name": "X-Token", "value_env": "SECRET"}},
    ]
)
CONFIGURATIONS = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "primary": REGISTRIES.map(lambda registry: {"url": "https://registry.example.com", **registry}),
        "replicas": st.tuples(REGISTRIES, REGISTRIES).map(
            lambda pair: [
                {"name": name, "url": f"http://{name}:5000", **registry}
                for name, registry in zip("ab", pair, strict=True)
            ]
        ),
    },
    optional={
        "rules": st.lists(RULES, max_size=3),
        "webhooks": st.fixed_dictionaries(
            {},
            optional={
                "untagged_hold": SHORT,
                "endpoints": st.lists(AUTH, max_size=3).map(
                    lambda auths: [{"path": f"/hooks/{index}", "auth": auth} for index, auth in enumerate(auths)]
                ),
            },
        ),
        "sweep": st.one_of(
            st.sampled_from([False, "off"]),
            st.fixed_dictionaries(
                {}, optional={"every": st.sampled_from(["1s", "90s", "2h"]), "repositories": st.just(["a/**"])}
            ),
        ),
        "objective": st.fixed_dictionaries({}, optional={"lag": SHORT, "percent": st.floats(0.1, 100)}),
        "log": st.fixed_dictionaries({}, optional={"level": st.sampled_from(["debug", "error"])}),
    },
)


@hypothesis.given(CONFIGURATIONS)
def test_what_is_shown_loads_as_the_same_settings(configuration: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "replicator.yaml")
        file.write_text(yaml.safe_dump(configuration))
        loaded = load(file, {"SECRET": "hunter2"})
        shown = yaml.safe_dump(effective(loaded), sort_keys=False)
        assert "hunter2" not in shown
        assert "hunter2" not in repr(loaded)
        file.write_text(shown)
        assert load(file, {"SECRET": "hunter2"}) == loaded


@hypothesis.given(st.text(alphabet="ab:[]{}&*!'\"\\%#-?|>~0 \n\t,") | st.binary())
def test_any_bytes_are_read_or_refused_and_never_crash(content: str | bytes) -> None:
    raw = content.encode() if isinstance(content, str) else content
    document = read_document(raw)
    assert document.data is not None or document.mistakes
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "replicator.yaml")
        file.write_bytes(raw)
        with pytest.raises(SettingsError, match=r"replicator\.yaml:\d+: "):
            load(file, {})


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["primary", "replicas", "rules", "webhooks", "admin", "store", "retry", "log", "sweep", "notify", "deletes"]


@hypothesis.given(configuration=CONFIGURATIONS, key=st.sampled_from(KEYS), junk=JUNK, wrapped=st.booleans())
def test_junk_under_any_key_is_told_and_never_crashes(
    configuration: dict[str, Any], key: str, junk: Any, *, wrapped: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "replicator.yaml")
        file.write_text(yaml.safe_dump({**configuration, key: [junk] if wrapped else junk}))
        told = ""
        try:
            load(file, {"SECRET": "x"})
        except SettingsError as error:
            told = str(error)
        assert all(line.startswith(f"{file}:") for line in told.splitlines())
