"""Who is let in: the right secret in the right place, and nobody else (S16)."""

import base64
import hmac
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from multidict import CIMultiDict
from yarl import URL

from replicator.intake.authentication import SharedSecret, basic, bearer, header, query
from replicator.intake.gate_settings import gate_of
from replicator.intake.gates import REREAD_SECONDS, Gate, Head, Verdict
from replicator.settings.credentials import BasicAuth, EndpointAuth, HeaderAuth, QueryAuth
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock

SECRET = "open-sesame-4711"


def pair(user: str, password: str, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def gate_for(kind: str, clock: FakeClock, *secrets: str) -> Gate:
    demand = {"bearer": bearer(), "basic": basic("hook"), "header": header("X-Token"), "query": query("token")}[kind]
    return SharedSecret(demand, [Secret.of_text(each) for each in secrets], clock=clock)


async def verdict_on(gate: Gate, values: Sequence[str]) -> Verdict:
    """Present `values` in every place at once; the gate looks at one of them."""
    headers = CIMultiDict((name, value) for name in ("Authorization", "X-Token") for value in values)
    url = URL("/webhooks/primary").with_query([("token", value) for value in values])
    return await gate.admit(Head(headers, url))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bearer", f"Bearer {SECRET}"),
        ("bearer", f"bearer  {SECRET} "),
        ("basic", pair("hook", SECRET)),
        ("basic", pair("hook", SECRET, "bAsIc")),
        ("header", SECRET),
        ("query", SECRET),
    ],
)
async def test_the_right_secret_is_admitted(fake_clock: FakeClock, kind: str, value: str) -> None:
    assert await verdict_on(gate_for(kind, fake_clock, SECRET), [value]) is Verdict.ADMITTED


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        *(
            (kind, values)
            for kind in ("bearer", "basic", "header", "query")
            for values in ([], [""], ["x"], ["\udcff\u20ac"])
        ),
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
        ("query", [SECRET, "other"]),
        ("query", [f"Bearer {SECRET}"]),
    ],
)
async def test_anything_else_is_refused(fake_clock: FakeClock, kind: str, values: Sequence[str]) -> None:
    assert await verdict_on(gate_for(kind, fake_clock, SECRET), values) is Verdict.REFUSED


@pytest.mark.parametrize("secret", ["pässwörd", "密码", "a:b:c", " spaced out "])
async def test_secrets_are_bytes_and_not_words(fake_clock: FakeClock, secret: str) -> None:
    # The server hands header bytes on in this form.
    sent = secret.encode().decode("utf-8", "surrogateescape")
    assert await verdict_on(gate_for("header", fake_clock, secret), [sent]) is Verdict.ADMITTED
    assert await verdict_on(gate_for("basic", fake_clock, secret), [pair("hook", secret)]) is Verdict.ADMITTED


async def test_any_of_several_secrets_is_valid(fake_clock: FakeClock) -> None:
    gate = gate_for("bearer", fake_clock, "old-secret", "new-secret")
    assert await verdict_on(gate, ["Bearer old-secret"]) is Verdict.ADMITTED
    assert await verdict_on(gate, ["Bearer new-secret"]) is Verdict.ADMITTED
    assert await verdict_on(gate, ["Bearer old-secretnew-secret"]) is Verdict.REFUSED


@pytest.mark.parametrize("kind", ["bearer", "basic", "header", "query"])
@pytest.mark.parametrize("value", ["", "Bearer ", "Bearer", pair("hook", ""), pair("", "")])
async def test_an_empty_secret_admits_nobody(fake_clock: FakeClock, kind: str, value: str) -> None:
    assert await verdict_on(gate_for(kind, fake_clock, ""), [value]) is not Verdict.ADMITTED


async def test_a_rotated_file_counts_after_a_moment(fake_clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("first\n")
    gate = SharedSecret(bearer(), [Secret.of_file(file)], clock=fake_clock)
    assert await verdict_on(gate, ["Bearer first"]) is Verdict.ADMITTED
    file.write_text("second\n")
    fake_clock.advance(REREAD_SECONDS)
    assert await verdict_on(gate, ["Bearer first"]) is Verdict.REFUSED
    assert await verdict_on(gate, ["Bearer second"]) is Verdict.ADMITTED


async def test_of_two_files_the_one_that_can_be_read_counts(fake_clock: FakeClock, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new")
    gate = SharedSecret(
        bearer(), [Secret.of_file(tmp_path / "old"), Secret.of_file(tmp_path / "new")], clock=fake_clock
    )
    assert await verdict_on(gate, ["Bearer new"]) is Verdict.ADMITTED
    assert await verdict_on(gate, ["Bearer old"]) is Verdict.REFUSED


async def test_a_secret_taken_away_admits_nobody_until_it_is_back(fake_clock: FakeClock, tmp_path: Path) -> None:
    file = tmp_path / "hook"
    file.write_text("first")
    gate = SharedSecret(bearer(), [Secret.of_file(file)], clock=fake_clock)
    assert await verdict_on(gate, ["Bearer first"]) is Verdict.ADMITTED
    file.unlink()
    fake_clock.advance(REREAD_SECONDS)
    assert await verdict_on(gate, ["Bearer first"]) is Verdict.UNKNOWN
    file.write_text("first")
    fake_clock.advance(REREAD_SECONDS)
    assert await verdict_on(gate, ["Bearer first"]) is Verdict.ADMITTED


@pytest.mark.parametrize("kind", ["bearer", "basic", "header", "query"])
@pytest.mark.parametrize("offered", ["", "x", f"Bearer {SECRET}", "y" * 5_000])
async def test_values_are_compared_in_constant_time_and_equal_length_against_every_secret(
    fake_clock: FakeClock, monkeypatch: pytest.MonkeyPatch, kind: str, offered: str
) -> None:
    compared: list[tuple[int, int]] = []
    real: Callable[[bytes, bytes], bool] = hmac.compare_digest

    def watched(left: bytes, right: bytes) -> bool:
        compared.append((len(left), len(right)))
        return real(left, right)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    await verdict_on(gate_for(kind, fake_clock, SECRET, "two", "three"), [offered])
    assert compared == [(32, 32)] * 3


async def test_the_settings_choose_the_gate(fake_clock: FakeClock) -> None:
    secret = Secret.of_text(SECRET)
    assert gate_of(None, fake_clock) is None
    with_token = gate_of(EndpointAuth(bearer_token_file=(secret,)), fake_clock)
    with_pair = gate_of(EndpointAuth(basic=BasicAuth(username="hook", password_file=(secret,))), fake_clock)
    with_header = gate_of(EndpointAuth(header=HeaderAuth(name="X-Token", value_env=secret)), fake_clock)
    with_query = gate_of(EndpointAuth(query=QueryAuth(name="token", value_file=(secret,))), fake_clock)
    assert with_token is not None
    assert with_pair is not None
    assert with_header is not None
    assert with_query is not None
    assert await verdict_on(with_token, [f"Bearer {SECRET}"]) is Verdict.ADMITTED
    assert await verdict_on(with_pair, [pair("hook", SECRET)]) is Verdict.ADMITTED
    assert await verdict_on(with_header, [SECRET]) is Verdict.ADMITTED
    assert await verdict_on(with_query, [SECRET]) is Verdict.ADMITTED
    assert (with_token.challenge, with_header.challenge, with_query.challenge) == ("Bearer", None, None)
