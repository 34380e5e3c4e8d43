"""How far a registry's clock is from ours."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web

from replicator.registry.answers import Fields
from replicator.registry.skew import SkewWatch, skew
from tests.support.fake_clock import FakeClock
from tests.unit.registry.scripted import TAG, TEAM, Say, Script, bearer, client_for, manifest_answer
from tests.unit.registry.test_transport import Counted

NOW = 1_700_000_000.0


def dated(when: float) -> str:
    return format_datetime(datetime.fromtimestamp(when, UTC), usegmt=True)


@pytest.mark.parametrize("ahead", [-3_600.0, -7.0, 0.0, 61.0, 86_400.0])
def test_the_skew_is_told_to_half_a_second_and_half_the_time_that_the_answer_took(ahead: float) -> None:
    for fraction in (0.0, 0.25, 0.5, 0.999):
        now = NOW + fraction
        found = skew(Fields([("Date", dated(int(now - 0.1 + ahead)))]), now=now, took=0.2)
        assert found is not None
        assert abs(found - ahead) <= 0.6


@pytest.mark.parametrize(
    "fields",
    [[], [("Date", "yesterday")], [("Date", "")], [("Date", dated(NOW)), ("Age", "30")], [("Date", "Sat, 99 Foo")]],
)
def test_no_date_a_bad_one_and_that_of_a_cache_tell_nothing(fields: list[tuple[str, str]]) -> None:
    assert skew(Fields(fields), now=NOW, took=0.0) is None


def test_one_answer_in_ten_seconds_is_read(fake_clock: FakeClock) -> None:
    watch = SkewWatch(fake_clock)
    fields = Fields([("Date", dated(fake_clock.now()))])
    assert watch.read(Fields(), 0.0) is None
    assert watch.read(fields, 0.0) == 0.5
    assert watch.read(fields, 0.0) is None
    fake_clock.advance(10)
    assert watch.read(fields, 0.0) == -9.5


async def test_the_clock_of_the_registry_counts_and_not_that_of_a_token_server(
    script: Script, elsewhere: Script, fake_clock: FakeClock
) -> None:
    async def late(_: web.Request) -> web.StreamResponse:
        return web.json_response({"token": "t"}, headers={"Date": dated(fake_clock.now() - 3_600)})

    elsewhere.on("GET", "/token", late)
    challenge = bearer(f"{elsewhere.url}/token")
    script.on(
        "GET", "/v2/", Say(401, {**challenge.headers, "Date": "?"}), manifest_answer(b"{}", Date=dated(NOW + 90))
    )
    observer = Counted()
    async with client_for(script.url, observer=observer, clock=fake_clock, realm_allow=(elsewhere.host,)) as client:
        await client.read_manifest(TEAM, TAG)
    assert observer.skews == [("replica", 90.5)]
