"""The token server gives tokens that a real registry takes, to those who may have them."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.images import fetch_closure, make_image, push, tag_digest
from tests.support.token_server import SERVICE, AuthRegistry, User, run_auth_registry
from tests.support.web import basic

USERS = {
    "puller": User(password="word", access={"team/*": ("pull",)}, identity_token="identity-of-puller"),
    "pusher": User(password="strong", access={"team/*": ("pull", "push"), "catalog": ()}),
}


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[AuthRegistry]:
    async with run_auth_registry(tmp_path, USERS) as running:
        yield running


async def test_the_registry_asks_for_a_token_and_takes_it(guarded: AuthRegistry) -> None:
    registry, tokens = guarded.registry, guarded.tokens
    async with aiohttp.ClientSession() as session, session.get(f"{registry.url}/v2/team/app/tags/list") as refused:
        assert refused.status == 401
        assert refused.headers["WWW-Authenticate"] == (
            f'Bearer realm="{tokens.realm}",service="{SERVICE}",scope="repository:team/app:pull"'
        )
    writer = tokens.headers("pusher", "team/app")
    await push(registry.url, "team/app", "v1", make_image(1), headers=writer)
    answer = await _get(guarded, "puller", "word", "repository:team/app:pull")
    assert answer["expires_in"] == 60
    reader = {"Authorization": f"Bearer {answer['token']}"}
    assert (await fetch_closure(registry.url, "team/app", "v1", headers=reader)).digest == make_image(1).digest
    assert tokens.requests[-1].user == "puller"
    assert tokens.requests[-1].scopes == ("repository:team/app:pull",)


async def test_a_token_grants_no_more_than_the_user_may(guarded: AuthRegistry) -> None:
    answer = await _get(guarded, "puller", "word", "repository:team/app:pull,push")
    reader = {"Authorization": f"Bearer {answer['token']}"}
    with pytest.raises(ExceptionGroup) as refused:
        await push(guarded.registry.url, "team/app", "v1", make_image(1), headers=reader)
    assert "401" in str(refused.value.exceptions[0])


@pytest.mark.parametrize(("user", "password"), [("puller", "wrong"), ("stranger", "word")])
async def test_a_wrong_password_gets_401(guarded: AuthRegistry, user: str, password: str) -> None:
    with pytest.raises(aiohttp.ClientResponseError, match="401"):
        await _get(guarded, user, password, "repository:team/app:pull")
    assert guarded.tokens.requests[-1].status == 401


async def test_an_expired_token_is_refused_by_the_registry(guarded: AuthRegistry) -> None:
    guarded.tokens.lifetime = -120
    old = guarded.tokens.headers("pusher", "team/app")
    with pytest.raises(AssertionError, match="401"):
        await tag_digest(guarded.registry.url, "team/app", "v1", headers=old)


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "refresh_token", "refresh_token": "identity-of-puller"},
        {"grant_type": "password", "username": "puller", "password": "word"},
    ],
)
async def test_post_grants_work(guarded: AuthRegistry, form: Mapping[str, str]) -> None:
    answer = await _post(guarded, {**form, "service": SERVICE, "scope": "repository:team/app:pull"})
    reader = {"Authorization": f"Bearer {answer['token']}"}
    assert await tag_digest(guarded.registry.url, "team/app", "v1", headers=reader) is None
    assert guarded.tokens.requests[-1].grant == form["grant_type"]


async def test_a_wrong_identity_token_gets_401_and_post_can_be_switched_off(guarded: AuthRegistry) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "guess", "service": SERVICE}
    with pytest.raises(aiohttp.ClientResponseError, match="401"):
        await _post(guarded, form)
    guarded.tokens.post_status = 405
    with pytest.raises(aiohttp.ClientResponseError, match="405"):
        await _post(guarded, form)


async def test_the_answer_takes_the_shapes_seen_in_the_field(guarded: AuthRegistry) -> None:
    guarded.tokens.token_field = "access_token"
    guarded.tokens.tell_lifetime = False
    assert set(await _get(guarded, "puller", "word", "repository:team/app:pull")) == {"access_token"}
    offline = await _get(guarded, "puller", "word", "repository:team/app:pull", offline_token="true")
    assert offline["refresh_token"] == "identity-of-puller"
    guarded.tokens.answer_status = 503
    with pytest.raises(aiohttp.ClientResponseError, match="503"):
        await _get(guarded, "puller", "word", "repository:team/app:pull")


async def test_the_catalog_needs_its_own_grant(guarded: AuthRegistry) -> None:
    for user, status in (("pusher", 200), ("puller", 401)):
        token = guarded.tokens.issue(user, ["registry:catalog:*"])
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{guarded.registry.url}/v2/_catalog"
        async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
            assert answer.status == status


async def _get(guarded: AuthRegistry, user: str, password: str, scope: str, **more: str) -> Mapping[str, Any]:
    asked = {"service": SERVICE, "scope": scope, **more}
    return await _json(guarded, "GET", params=asked, headers=basic(user, password))


async def _post(guarded: AuthRegistry, form: Mapping[str, str]) -> Mapping[str, Any]:
    return await _json(guarded, "POST", data=form)


async def _json(guarded: AuthRegistry, method: str, **parts: Any) -> Mapping[str, Any]:
    realm = guarded.tokens.realm
    async with aiohttp.ClientSession() as session, session.request(method, realm, **parts) as answer:
        answer.raise_for_status()
        document: Mapping[str, Any] = await answer.json()
        return document
