"""How requests come to carry a login: asked for once, renewed once, given up clearly (A1, A7-A9)."""

from pathlib import Path

import pytest

from replicator.errors import AccessDenied, NotFound
from replicator.model import parse_repository
from replicator.settings.credentials import Credentials
from replicator.settings.secrets import Secret
from tests.support.fake_clock import FakeClock
from tests.support.web import basic
from tests.unit.registry.scripted import (
    BLOB,
    TAG,
    TEAM,
    UPLOADS,
    Say,
    Script,
    bearer,
    client_for,
    demand,
    error,
    password,
    say_json,
    whole_body,
)

BASIC = basic("mirror", "canary-password")["Authorization"]
ASKS_BASIC = error(401, "UNAUTHORIZED", **{"WWW-Authenticate": 'BASIC realm="x"'})


async def test_a9_basic_is_sent_when_it_was_asked_for_and_from_then_on(script: Script) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC, Say(404))
    async with client_for(script.url, credentials=password()) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(TEAM, BLOB)
    assert [seen.authorization for seen in script.seen] == [None, BASIC, BASIC]


async def test_a_wrong_basic_password_is_one_clear_error_and_no_storm(script: Script) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC)
    clock = FakeClock()
    async with client_for(script.url, clock=clock, credentials=password()) as client:
        with pytest.raises(AccessDenied) as caught:
            await client.has_blob(TEAM, BLOB)
        assert caught.value.status == 401
        for _ in range(10):
            with pytest.raises(AccessDenied, match="mirror"):
                await client.has_blob(TEAM, BLOB)
        assert len(script.seen) == 2
        clock.advance(5.1)
        with pytest.raises(AccessDenied):
            await client.has_blob(TEAM, BLOB)
    assert len(script.seen) <= 4


async def test_a_login_that_is_asked_for_and_not_configured_is_said_so(script: Script) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC)
    async with client_for(script.url) as client:
        with pytest.raises(AccessDenied, match="asks for user name and password"):
            await client.has_blob(TEAM, BLOB)


async def test_a1_bearer_is_preferred_when_both_are_offered(script: Script) -> None:
    both = error(401, "UNAUTHORIZED")
    both = Say(401, {"WWW-Authenticate": ('Basic realm="x"', 'Bearer realm="/token"')}, both.body)
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("HEAD", "/v2/", both, Say(404))
    async with client_for(script.url, credentials=password()) as client:
        await client.has_blob(TEAM, BLOB)
    assert script.asked("HEAD")[-1].authorization == "Bearer t"


async def test_a7_a_token_that_is_refused_is_renewed_once(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t1"}), say_json({"token": "t2"}))
    script.on("HEAD", "/v2/", bearer("/token"), Say(404), bearer("/token"), Say(404))
    async with client_for(script.url, credentials=password()) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(TEAM, BLOB)
    assert [seen.authorization for seen in script.asked("HEAD")] == [None, "Bearer t1", "Bearer t1", "Bearer t2"]


async def test_a7_a_registry_that_refuses_every_token_is_asked_twice_and_no_more(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t1"}), say_json({"token": "t2"}))
    script.on("GET", "/v2/", bearer("/token"))
    clock = FakeClock()
    async with client_for(script.url, clock=clock, credentials=password()) as client:
        with pytest.raises(AccessDenied):
            await client.read_manifest(TEAM, TAG)
        with pytest.raises(AccessDenied):
            await client.read_manifest(TEAM, TAG)
    assert len(script.asked("GET", "/v2/")) == 2
    assert len(script.asked("GET", "/token")) == 1


async def test_a7_a_scope_that_the_registry_asks_for_is_added_and_remembered(script: Script) -> None:
    wider = "repository:team/app:pull repository:mirror/base:pull"
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token", scope=wider)))
    clock = FakeClock()
    async with client_for(script.url, clock=clock) as client:
        await client.has_blob(TEAM, BLOB)
        clock.advance(100)
        await client.has_blob(TEAM, BLOB)
    assert len(script.asked("HEAD")) == 3
    for asked in script.asked("GET", "/token"):
        assert "scope=repository%3Amirror%2Fbase%3Apull&scope=repository%3Ateam%2Fapp%3Apull" in asked.target


async def test_a7_a_403_never_logs_in_again(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("GET", "/v2/", bearer("/token"), error(403, "DENIED", "not yours"))
    async with client_for(script.url) as client:
        with pytest.raises(AccessDenied, match="not yours"):
            await client.read_manifest(TEAM, TAG)
    assert len(script.asked("GET", "/v2/")) == 2
    assert len(script.asked("GET", "/token")) == 1


async def test_m3_a_401_without_a_challenge_is_answered_by_that_of_the_ping(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("GET", "/v2/$", bearer("/token"))
    script.on("HEAD", "/v2/", error(401, "UNAUTHORIZED"), Say(404))
    async with client_for(script.url) as client:
        assert not await client.has_blob(TEAM, BLOB)
    assert script.asked("HEAD")[-1].authorization == "Bearer t"


async def test_a_401_that_nobody_explains_is_access_denied(script: Script) -> None:
    script.on("HEAD", "/v2/", Say(401))
    async with client_for(script.url, credentials=password()) as client:
        with pytest.raises(AccessDenied, match="without saying which"):
            await client.has_blob(TEAM, BLOB)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405])
async def test_a8_a_refused_mount_becomes_a_plain_upload_with_the_destinations_rights(
    script: Script, status: int
) -> None:
    script.on("GET", "/token", say_json({"token": "both"}), say_json({"token": "one"}))
    script.on("POST", f"{UPLOADS}$", demand("one", Say(202, {"Location": "/up"}), bearer("/token")))
    script.on("POST", rf"{UPLOADS}\?mount", bearer("/token"), error(status, "DENIED"))
    async with client_for(script.url, credentials=password()) as client:
        session = await client.mount_blob(TEAM, BLOB, parse_repository("secret/base"))
    assert session is not None
    assert "secret" not in script.asked("GET", "/token")[-1].target


async def test_a8_a_token_server_that_refuses_both_rights_at_once_is_asked_for_one(script: Script) -> None:
    script.on("GET", "/token", Say(403), say_json({"token": "one"}))
    script.on("POST", UPLOADS, demand("one", Say(202, {"Location": "/up"}), bearer("/token")))
    async with client_for(script.url, credentials=password()) as client:
        assert await client.mount_blob(TEAM, BLOB, parse_repository("secret/base")) is not None
    assert len(script.asked("GET", "/token")) == 2


async def test_a_ready_token_is_sent_as_it_is(script: Script) -> None:
    script.on("HEAD", "/v2/", Say(404))
    ready = Credentials(token_file=Secret.of_text("canary-token"))
    async with client_for(script.url, credentials=ready) as client:
        await client.has_blob(TEAM, BLOB)
    assert script.seen[0].authorization == "Bearer canary-token"


async def test_a_ready_token_that_is_refused_is_access_denied_without_a_storm(script: Script) -> None:
    script.on("HEAD", "/v2/", bearer("/token"))
    ready = Credentials(token_file=Secret.of_text("canary-token"))
    async with client_for(script.url, credentials=ready) as client:
        for _ in range(5):
            with pytest.raises(AccessDenied) as caught:
                await client.has_blob(TEAM, BLOB)
            assert "canary" not in str(caught.value)
    assert len(script.seen) == 1


async def test_s19_a_ready_token_with_a_line_break_never_becomes_a_header(script: Script) -> None:
    ready = Credentials(token_file=Secret.of_text("canary\r\nX-Evil: 1"))
    async with client_for(script.url, credentials=ready) as client:
        with pytest.raises(AccessDenied) as caught:
            await client.has_blob(TEAM, BLOB)
    assert "canary" not in str(caught.value)
    assert not script.seen


async def test_credentials_that_cannot_be_read_are_access_denied_worth_another_try(
    script: Script, tmp_path: Path
) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC)
    gone = Credentials(username="mirror", password_file=Secret.of_file(tmp_path / "gone"))
    async with client_for(script.url, credentials=gone) as client:
        with pytest.raises(AccessDenied, match="cannot be read") as caught:
            await client.has_blob(TEAM, BLOB)
    assert caught.value.temporary


async def test_f28_an_upload_whose_token_runs_out_in_the_middle_starts_again_with_a_new_one(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t1"}), say_json({"token": "t2"}))
    script.on("POST", UPLOADS, bearer("/token"), Say(202, {"Location": "/up1"}), Say(202, {"Location": "/up2"}))
    script.on("PUT", "/up", bearer("/token"), Say(201))
    script.on("DELETE", "/up", Say(204))
    async with client_for(script.url) as client:
        await client.send_blob(TEAM, BLOB, whole_body)
    first, second = script.asked("PUT")
    assert (first.authorization, first.target[:4]) == ("Bearer t1", "/up1")
    assert (second.authorization, second.target[:4]) == ("Bearer t2", "/up2")


async def test_cancelling_an_upload_asks_for_the_right_to_delete_without_widening_the_push(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "push"}), say_json({"token": "delete"}))
    script.on("POST", UPLOADS, demand("push", Say(202, {"Location": "/up"}), bearer("/token")))
    script.on("DELETE", "/up", demand("delete", Say(204), bearer("/token")))
    async with client_for(script.url) as client:
        session = await client.start_upload(TEAM)
        await client.cancel_upload(session)
        await client.start_upload(TEAM)
    assert [seen.authorization for seen in script.asked("POST")] == [None, "Bearer push", "Bearer push"]
    push, cancel = script.asked("GET", "/token")
    assert "delete" not in push.target
    assert "delete" in cancel.target


async def test_a_missing_manifest_behind_a_login_is_still_not_found(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("GET", "/v2/", demand("t", error(404, "MANIFEST_UNKNOWN"), bearer("/token")))
    async with client_for(script.url) as client:
        with pytest.raises(NotFound):
            await client.read_manifest(TEAM, TAG)
