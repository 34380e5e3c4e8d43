"""The token protocol: what is asked, what is kept, and how few requests that takes (A2-A6)."""

import asyncio
from urllib.parse import parse_qs, urlsplit

import pytest
from aiohttp import web

from replicator.errors import AccessDenied, RegistryError
from replicator.model import parse_repository
from replicator.settings.credentials import Credentials
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock
from tests.support.web import basic
from tests.unit.registry.scripted import (
    BLOB,
    TEAM,
    Handler,
    Say,
    Script,
    bearer,
    client_for,
    demand,
    error,
    password,
    say_json,
)

PULL = "repository:team/app:pull"


def token_registry(script: Script, *tokens: str) -> None:
    """Let the registry be its own token server, that gives one token after the other and takes the newest."""
    given = [say_json({"token": token, "expires_in": 300}) for token in tokens]
    script.on("GET", "/token", *given)
    script.on("HEAD", "/v2/", demand(tokens[-1], Say(200, {"Content-Length": str(BLOB.size)}), bearer("/token")))


def query(target: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(target).query)


async def test_a2_a_token_is_asked_for_by_get_with_service_scope_and_basic(script: Script) -> None:
    token_registry(script, "t1")
    async with client_for(script.url, credentials=password()) as client:
        assert await client.has_blob(TEAM, BLOB)
    (asked,) = script.asked("GET", "/token")
    assert query(asked.target) == {"service": ["registry"], "scope": [PULL], "client_id": ["replicator"]}
    assert asked.authorization == basic("mirror", "canary-password")["Authorization"]


async def test_a2_scopes_are_repeated_and_the_realms_own_query_is_kept(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("POST", "/v2/", demand("t", error(202, "", Location="/up"), bearer("/token?own=a%2Fb")))
    async with client_for(script.url) as client:
        await client.mount_blob(TEAM, BLOB, parse_repository("base/image"))
    (asked,) = script.asked("GET", "/token")
    assert asked.target.startswith("/token?own=a%2Fb&")
    assert query(asked.target)["scope"] == ["repository:team/app:pull,push", "repository:base/image:pull"]
    assert asked.authorization is None


async def test_a3_an_identity_token_is_exchanged_by_post(script: Script) -> None:
    script.on("POST", "/token", say_json({"access_token": "t"}))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    identity = Credentials(identity_token_file=Secret.of_text("canary-identity"))
    async with client_for(script.url, credentials=identity) as client:
        assert not await client.has_blob(TEAM, BLOB)
    (asked,) = script.asked("POST", "/token")
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["refresh_token"],
        "refresh_token": ["canary-identity"],
        "service": ["registry"],
        "client_id": ["replicator"],
        "scope": [PULL],
    }
    assert "canary" not in asked.target


@pytest.mark.parametrize("status", [404, 405])
async def test_a3_a_token_server_without_get_is_asked_by_post(script: Script, status: int) -> None:
    script.on("GET", "/token", Say(status))
    script.on("POST", "/token", say_json({"token": "t"}))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    async with client_for(script.url, credentials=password()) as client:
        assert not await client.has_blob(TEAM, BLOB)
    form = parse_qs(script.asked("POST", "/token")[0].body.decode())
    assert (form["grant_type"], form["username"], form["password"]) == (["password"], ["mirror"], ["canary-password"])


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        (300, 270.0),
        (60, 54.0),
        (None, 54.0),
        (10, 54.0),
        (True, 54.0),
        ("300", 54.0),
        (1e9, 86370.0),
        pytest.param(10**399, 86370.0, id="400 digits"),
    ],
)
async def test_a4_tokens_live_as_told_but_a_minute_at_least_and_are_renewed_early(
    script: Script, expires_in: object, life: float
) -> None:
    script.on("GET", "/token", say_json({"token": "t"} | ({} if expires_in is None else {"expires_in": expires_in})))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    clock = FakeClock()
    async with client_for(script.url, clock=clock) as client:
        await client.has_blob(TEAM, BLOB)
        clock.advance(life - 0.5)
        await client.has_blob(TEAM, BLOB)
        assert len(script.asked("GET", "/token")) == 1
        clock.advance(1)
        await client.has_blob(TEAM, BLOB)
        assert len(script.asked("GET", "/token")) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Say(200, {}, b"not json"),
        Say(200, {}, b'{"token": 5}'),
        Say(200, {}, b'{"token": ""}'),
        Say(200, {}, b"{}"),
        Say(200, {}, b"[]"),
        Say(200, {}, b'{"token": "a\\r\\nX-Evil: 1"}'),
        Say(200, {}, b'{"token": "caf\xc3\xa9"}'),
        Say(200, {}, b'{"token": "t"' + b" " * 200_000 + b"}"),
        Say(200, {}, b'{"token": "t", "token": "u"}'),
        Say(500),
    ],
)
async def test_s9_s19_an_answer_that_is_no_token_is_a_temporary_error(script: Script, answer: Say) -> None:
    script.on("GET", "/token", answer)
    script.on("HEAD", "/v2/", bearer("/token"))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError) as caught:
            await client.has_blob(TEAM, BLOB)
    assert caught.value.temporary
    assert len(script.asked("HEAD")) == 1


async def test_a6_the_second_request_carries_the_token_from_the_start(script: Script) -> None:
    token_registry(script, "t1")
    async with client_for(script.url) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(TEAM, BLOB)
    assert [seen.authorization for seen in script.asked("HEAD")] == [None, "Bearer t1", "Bearer t1"]


async def test_a6_a_token_is_never_used_for_another_repository(script: Script) -> None:
    async def by_scope(request: web.Request) -> web.StreamResponse:
        return web.json_response({"token": request.query["scope"].replace(":", ".")})

    script.on("GET", "/token", by_scope)
    script.on("HEAD", "/v2/team/app/", demand("repository.team/app.pull", Say(404), bearer("/token")))
    script.on("HEAD", "/v2/other/", demand("repository.other/app.pull", Say(404), bearer("/token")))
    async with client_for(script.url) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(parse_repository("other/app"), BLOB)
    assert [seen.authorization for seen in script.asked("HEAD", "/v2/other")] == ["Bearer repository.other/app.pull"]


async def test_a6_a_wider_token_is_never_used_for_a_read(script: Script) -> None:
    """Not to save a request either: some registries answer 403 to a token that can do more than is asked."""

    async def by_scope(request: web.Request) -> web.StreamResponse:
        return web.json_response({"token": request.query["scope"].replace(":", ".").replace(",", "-")})

    script.on("GET", "/token", by_scope)
    accepted = error(202, "", Location="/up")
    script.on("POST", "/v2/team/app/", demand("repository.team/app.pull-push", accepted, bearer("/token")))
    script.on("HEAD", "/v2/team/app/", demand("repository.team/app.pull", Say(404), bearer("/token")))
    async with client_for(script.url) as client:
        await client.start_upload(TEAM)
        await client.has_blob(TEAM, BLOB)
    assert [seen.authorization for seen in script.asked("HEAD")] == ["Bearer repository.team/app.pull"]
    assert [query(seen.target)["scope"] for seen in script.asked("GET", "/token")] == [[f"{PULL},push"], [PULL]]


class Gate:
    """Holds token requests until opened, and knows how many came and are inside."""

    def __init__(self, answer: Say) -> None:
        self.open = asyncio.Event()
        self.entered = asyncio.Event()
        self.count = 0
        self._answer = answer

    async def __call__(self, _: web.Request) -> web.StreamResponse:
        self.count += 1
        self.entered.set()
        await self.open.wait()
        return web.Response(status=self._answer.status, body=self._answer.body)


async def test_a6_however_many_ask_one_request_is_in_flight(script: Script) -> None:
    gate = Gate(say_json({"token": "t"}))
    script.on("GET", "/token", gate)
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    async with client_for(script.url, max_connections=50) as client:
        tasks = [asyncio.create_task(client.has_blob(TEAM, BLOB)) for _ in range(20)]
        await gate.entered.wait()
        gate.open.set()
        assert await asyncio.gather(*tasks) == [False] * 20
    assert gate.count == 1


async def test_a6_when_the_one_that_fetches_is_cancelled_the_next_takes_over(script: Script) -> None:
    gate = Gate(say_json({"token": "t"}))
    script.on("GET", "/token", gate)
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    async with client_for(script.url) as client:
        first = asyncio.create_task(client.has_blob(TEAM, BLOB))
        await gate.entered.wait()
        second = asyncio.create_task(client.has_blob(TEAM, BLOB))
        gate.entered.clear()
        first.cancel()
        gate.open.set()
        assert await second is False
        with pytest.raises(asyncio.CancelledError):
            await first
    assert gate.count == 2


async def test_a6_nobody_waits_for_a_renewal_while_the_former_token_lives(script: Script) -> None:
    """A token service that hangs took every request with it for a minute, though the former token was still good."""
    gate = Gate(say_json({"token": "t", "expires_in": 300}))
    script.on("GET", "/token", say_json({"token": "t", "expires_in": 300}), gate)
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    clock = FakeClock()
    async with client_for(script.url, clock=clock) as client:
        await client.has_blob(TEAM, BLOB)
        clock.advance(271)
        renewing = asyncio.create_task(client.has_blob(TEAM, BLOB))
        await gate.entered.wait()
        assert await client.has_blob(TEAM, BLOB) is False
        clock.advance(24)
        late = asyncio.create_task(client.has_blob(TEAM, BLOB))
        gate.open.set()
        assert not any(await asyncio.gather(renewing, late))
    assert gate.count == 1
    assert len(script.asked("HEAD")) == 5, "the first was answered with the challenge"


async def test_a6_a_token_that_cannot_be_renewed_is_used_until_its_end(script: Script) -> None:
    """Each second one request asks for another; a refusal of the credentials ends it at once."""
    token = say_json({"token": "t", "expires_in": 300})
    script.on("GET", "/token", token, Say(500), Say(500), Say(500), token, error(401, "UNAUTHORIZED"))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    clock = FakeClock()
    async with client_for(script.url, clock=clock, credentials=password()) as client:
        await client.has_blob(TEAM, BLOB)
        for seconds, asked in ((271, 2), (0.9, 2), (0.2, 3)):
            clock.advance(seconds)
            assert await client.has_blob(TEAM, BLOB) is False
            assert len(script.asked("GET", "/token")) == asked
        clock.advance(24)
        with pytest.raises(RegistryError, match="500"):
            await client.has_blob(TEAM, BLOB)
        clock.advance(1.1)
        assert await client.has_blob(TEAM, BLOB) is False
        clock.advance(271)
        with pytest.raises(AccessDenied):
            await client.has_blob(TEAM, BLOB)


async def test_a6_a_wrong_password_is_tried_once_by_all_repositories_together(script: Script) -> None:
    gate = Gate(error(401, "UNAUTHORIZED"))
    script.on("GET", "/token", gate)
    script.on("HEAD", "/v2/", bearer("/token"))
    clock = FakeClock()
    async with client_for(script.url, clock=clock, credentials=password(), max_connections=50) as client:
        repositories = [parse_repository(f"team/r{n}") for n in range(20)]
        tasks = [asyncio.create_task(client.has_blob(one, BLOB)) for one in repositories]
        await gate.entered.wait()
        gate.open.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {AccessDenied}
        assert {str(result) for result in results} == {
            f"replica: the token server {script.url}/token refused the credentials of mirror (401)"
        }
        assert gate.count == 1
        clock.advance(4.9)
        with pytest.raises(AccessDenied):
            await client.has_blob(TEAM, BLOB)
        assert gate.count == 1
        clock.advance(0.2)
        with pytest.raises(AccessDenied):
            await client.has_blob(TEAM, BLOB)
        assert gate.count == 2


async def test_a6_a_password_that_was_corrected_works_after_5_seconds(script: Script) -> None:
    right = basic("mirror", "canary-password")["Authorization"]
    wrong = password(word="old")
    script.on("GET", "/token", _login(right))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    clock = FakeClock()
    environment = {"WORD": "old"}
    rotating = Credentials(username="mirror", password_file=Secret.of_environment("WORD", environment))
    assert wrong.username == rotating.username
    async with client_for(script.url, clock=clock, credentials=rotating) as client:
        with pytest.raises(AccessDenied):
            await client.has_blob(TEAM, BLOB)
        environment["WORD"] = "canary-password"
        clock.advance(5.1)
        assert not await client.has_blob(TEAM, BLOB)


@pytest.mark.parametrize("refused", [True, False])
async def test_what_came_of_former_credentials_is_not_kept(script: Script, refused: bool) -> None:
    """The password was corrected while a token server still thought about the former one."""
    gate = Gate(error(401, "UNAUTHORIZED") if refused else say_json({"token": "former"}))
    script.on("GET", "/token", gate)
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    async with client_for(script.url, clock=FakeClock(), credentials=password()) as client:
        first = asyncio.create_task(client.has_blob(TEAM, BLOB))
        await gate.entered.wait()
        client.credentials_changed()
        script.on("GET", "/token", say_json({"token": "t"}))
        gate.open.set()
        await asyncio.gather(first, return_exceptions=True)
        refusals = len(script.asked("HEAD", "/v2/"))
        assert not await client.has_blob(TEAM, BLOB)
        assert len(script.asked("HEAD", "/v2/")) == refusals + 1, "the former token is not even tried"


def _login(right: str) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != right:
            return web.Response(status=401)
        return web.json_response({"token": "t"})

    return answer


async def test_a_refused_scope_does_not_stop_other_repositories(script: Script) -> None:
    async def by_scope(request: web.Request) -> web.StreamResponse:
        if "private" in request.query["scope"]:
            return web.Response(status=403)
        return web.json_response({"token": "t"})

    script.on("GET", "/token", by_scope)
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    async with client_for(script.url, credentials=password()) as client:
        with pytest.raises(AccessDenied):
            await client.has_blob(parse_repository("private/app"), BLOB)
        assert not await client.has_blob(TEAM, BLOB)


async def test_s2_a_token_server_that_redirects_is_not_followed(script: Script, elsewhere: Script) -> None:
    script.on("GET", "/token", Say(302, {"Location": f"{elsewhere.url}/steal"}))
    script.on("HEAD", "/v2/", bearer("/token"))
    async with client_for(script.url, credentials=password(), redirect_allow=(elsewhere.host,)) as client:
        with pytest.raises(RegistryError):
            await client.has_blob(TEAM, BLOB)
    assert not elsewhere.seen


async def test_s2_a_realm_on_another_host_is_refused(script: Script, elsewhere: Script) -> None:
    script.on("HEAD", "/v2/", bearer(f"{elsewhere.url}/token"))
    async with client_for(script.url, credentials=password()) as client:
        with pytest.raises(RegistryError, match="realm_allow"):
            await client.has_blob(TEAM, BLOB)
    assert not elsewhere.seen


async def test_s2_a_realm_that_is_allowed_gets_the_credentials_and_the_registry_does_not(
    script: Script, elsewhere: Script
) -> None:
    elsewhere.on("GET", "/token", say_json({"token": "t"}))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer(f"{elsewhere.url}/token")))
    async with client_for(script.url, credentials=password(), realm_allow=(elsewhere.host,)) as client:
        assert not await client.has_blob(TEAM, BLOB)
    assert elsewhere.seen[0].authorization == basic("mirror", "canary-password")["Authorization"]
    assert [seen.authorization for seen in script.seen] == [None, "Bearer t"]
