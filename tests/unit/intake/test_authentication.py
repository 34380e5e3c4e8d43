"""Who is let in: the right secret in the right place, and nobody else (S16)."""

import base64
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from replicator.intake.authentication import REREAD_SECONDS, Gate, Verdict, basic, bearer, header
from replicator.intake.doors import gate_of
from replicator.settings.credentials import BasicAuth, EndpointAuth, HeaderAuth
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock

SECRET = "open-sesame-4711"


def pair(user: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def gate_for(kind: str, clock: FakeClock, *secrets: str) -> Gate:
    demand = {"bearer": bearer(), "basic": basic("hook"), "header": header("X-Token")}[kind]
    return Gate(demand, [Secret.of_text(each) for each in secrets], clock=clock)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bearer", f"Bearer {SECRET}"),
        ("bearer", f"bearer  {SECRET} "),
        ("basic", pair("hook", SECRET)),
        ("basic", pair("hook", SECRET, "bAsIc")),
        ("header", SECRET),
    ],
)
def test_the_right_secret_is_admitted(fake_clock: FakeClock, kind: str, value: str) -> None:
    assert gate_for(kind, fake_clock, SECRET).verdict([value]) is Verdict.ADMITTED


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        *((kind, values) for kind in ("bearer", "basic", "header") for values in ([], [""], ["x"], ["\udcff\u20ac"])),
        ("bearer", [SECRET]),
        ("bearer", ["Bearer"]),
        ("bearer", ["Bearer "]),
        ("bearer", [f"Bearer {SECRET[:-1]}"]),
        ("bearer", [f"Bearer {SECRET}x"]),
        ("bearer", [f"Bearer {SECRET.upper()}"]),
        ("bearer", [f"Basic {SECRET}"]),
        ("bearer", [f"Bearer {SECRET}", f"Bearer {SECRET}"]),
        ("bearer", [f"Bearer wrong, Bearer {SECRET}"]),
        ("basic", [pair("hook", "wrong")]),
        ("basic", [pair("other", SECRET)]),
        ("basic", [pair("hook", "")]),
        ("basic", [f"Basic hook:{SECRET}"]),
        ("basic", ["Basic !!!!"]),
        ("basic", ["Basic"]),
        ("basic", [f"Bearer {SECRET}"]),
        ("header", [f"Bearer {SECRET}"]),
        ("header", [SECRET, "other"]),
    ],
)
def test_anything_else_is_refused(fake_clock: FakeClock, kind: str, values: Sequence[str]) -> None:
    assert gate_for(kind, fake_clock, SECRET).verdict(values) is Verdict.REFUSED


@pytest.mark.parametrize("secret", ["pässwörd", "密码", "a:b:c", " spaced out "])
def test_secrets_are_bytes_and_not_words(fake_clock: FakeClock, secret: str) -> None:
    # The server hands header bytes on in this form.
    sent = secret.encode().decode("utf-8", "surrogateescape")
    assert gate_for("header", fake_clock, secret).verdict([sent]) is Verdict.ADMITTED
    assert gate_for("basic", fake_clock, secret).verdict([pair("hook", secret)]) is Verdict.ADMITTED


def test_any_of_several_secrets_is_valid(fake_clock: FakeClock) -> None:
    gate = gate_for("bearer", fake_clock, "old-secret", "new-secret")
    assert gate.verdict(["Bearer old-secret"]) is Verdict.ADMITTED
    assert gate.verdict(["Bearer new-secret"]) is Verdict.ADMITTED
    assert gate.verdict(["Bearer old-secretnew-secret"]) is Verdict.REFUSED


@pytest.mark.parametrize("kind", ["bearer", "basic", "header"])
@pytest.mark.parametrize("value", ["", "Bearer ", "Bearer", pair("hook", ""), pair("", "")])
def test_an_empty_secret_admits_nobody(fake_clock: FakeClock, kind: str, value: str) -> None:
    assert gate_for(kind, fake_clock, "").verdict([value]) is not Verdict.ADMITTED


def test_a_rotated_file_counts_after_a_moment(fake_clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("first\n")
    gate = Gate(bearer(), [Secret.of_file(file)], clock=fake_clock)
    assert gate.verdict(["Bearer first"]) is Verdict.ADMITTED
    file.write_text("second\n")
    fake_clock.advance(REREAD_SECONDS)
    assert gate.verdict(["Bearer first"]) is Verdict.REFUSED
    assert gate.verdict(["Bearer second"]) is Verdict.ADMITTED


def test_of_two_files_the_one_that_can_be_read_counts(fake_clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    gate = Gate(bearer(), [Secret.of_file(tmp_path / "old"), Secret.of_file(tmp_path / "new")], clock=fake_clock)
    assert gate.verdict(["Bearer new"]) is Verdict.ADMITTED
    assert gate.verdict(["Bearer old"]) is Verdict.REFUSED


def test_a_secret_taken_away_admits_nobody_until_it_is_back(fake_clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("first")
    gate = Gate(bearer(), [Secret.of_file(file)], clock=fake_clock)
    assert gate.verdict(["Bearer first"]) is Verdict.ADMITTED
    file.unlink()
    fake_clock.advance(REREAD_SECONDS)
    assert gate.verdict(["Bearer first"]) is Verdict.UNKNOWN
    file.write_text("first")
    fake_clock.advance(REREAD_SECONDS)
    assert gate.verdict(["Bearer first"]) is Verdict.ADMITTED


@pytest.mark.parametrize("kind", ["bearer", "basic", "header"])
@pytest.mark.parametrize("offered", ["", "x", f"Bearer {SECRET}", "y" * 5_000])
def test_values_are_compared_in_constant_time_and_equal_length_against_every_secret(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch, kind: str, offered: str
) -> None:
    compared: list[tuple[int, int]] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    gate_for(kind, fake_clock, SECRET, "two", "three").verdict([offered])
    assert compared == [(32, 32)] * 3


def test_the_settings_choose_the_gate(fake_clock: FakeClock) -> None:
    secret = Secret.of_text(SECRET)
    assert gate_of(None, fake_clock) is None
    with_token = gate_of(EndpointAuth(bearer_token_file=(secret,)), fake_clock)
    with_pair = gate_of(EndpointAuth(basic=BasicAuth(username="hook", password_file=(secret,))), fake_clock)
    with_header = gate_of(EndpointAuth(header=HeaderAuth(name="X-Token", value_env=secret)), fake_clock)
    assert with_token is not None
    assert with_pair is not None
    assert with_header is not None
    assert (with_token.header, with_pair.header, with_header.header) == ("Authorization", "Authorization", "X-Token")
    assert with_token.verdict([f"Bearer {SECRET}"]) is Verdict.ADMITTED
    assert with_pair.verdict([pair("hook", SECRET)]) is Verdict.ADMITTED
    assert with_header.verdict([SECRET]) is Verdict.ADMITTED
