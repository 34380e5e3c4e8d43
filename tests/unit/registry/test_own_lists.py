"""A registry's own list of tags and digests is believed where it is proven, and otherwise as if it were not there."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from aiohttp import web

from replicator.errors import AccessDenied, RegistryError
from replicator.model import Digest, Repository, Tag
from replicator.registry.capabilities import LACKS_FOR, DigestList
from replicator.registry.client import RegistryClient
from replicator.registry.logins.source import NoProof
from replicator.registry.own_lists.ecr import EcrList
from replicator.settings.registries import CapabilitiesSettings
from tests.support.fake_clock import FakeClock
from tests.support.web import basic
from tests.unit.registry.scripted import (
    BLOB,
    TEAM,
    Say,
    Script,
    bearer,
    client_for,
    demand,
    error,
    manifest_answer,
    password,
    plain,
    run_script,
    say_json,
)

BODY, OTHER = b"{}", b"{ }"
ONE, TWO = Digest.of(BODY), Digest.of(OTHER)
TAGS = [Tag(name) for name in ("v1", "v2", "v3", "v4", "v5")]
LIST = f"/acr/v1/{TEAM}/_tags"
UNTOLD: dict[str, Digest | None] = dict.fromkeys(TAGS)


def entry(tag: str, digest: object = str(ONE)) -> dict[str, object]:
    return {"name": tag, "digest": digest, "createdTime": "2026-01-01T00:00:00Z", "signed": False}


def page(*entries: object, repository: str = TEAM, following: str = "") -> Say:
    document = {"registry": "registry.test", "imageName": repository, "tags": list(entries)}
    return say_json(document, Link=f'<{following}>; rel="next"') if following else say_json(document)


WHOLE = page(*(entry(tag) for tag in TAGS))


def azure(script: Script, *answers: Say, realm: str = "/oauth2/token") -> None:
    """Let the registry be one of Azure's, whose own list is answered so."""
    script.on("GET", realm, say_json({"access_token": "t", "expires_in": 3600}))
    script.on("GET", "/v2/", demand("t", say_json({"name": TEAM, "tags": TAGS}), bearer(realm)))
    script.on("HEAD", f"/v2/{TEAM}/manifests/", demand("t", manifest_answer(BODY), bearer(realm)))
    script.on("GET", LIST, *answers)


async def told(client: RegistryClient) -> dict[Tag, Digest | None]:
    """Return what the tags name as lists tell it; which tags there are never depends on that."""
    found = await client.all_tags(TEAM, digests=True)
    assert (list(found.tags), found.whole) == (TAGS, True)
    return dict(found.tags)


@pytest.fixture
async def asking(script: Script, fake_clock: FakeClock) -> AsyncIterator[RegistryClient]:
    async with client_for(script.url, credentials=password(), clock=fake_clock) as opened:
        yield opened


async def test_a_list_is_proven_by_one_tag_and_then_believed(script: Script, asking: RegistryClient) -> None:
    azure(script, WHOLE)
    for _ in range(3):
        assert await told(asking) == dict.fromkeys(TAGS, ONE)
    assert len(script.asked("HEAD")) == 1
    assert {seen.authorization for seen in script.asked("GET", LIST)} == {"Bearer t"}
    tokens = [seen.target.partition("scope=")[2].partition("&")[0] for seen in script.asked("GET", "/oauth2")]
    assert tokens == ["repository%3Ateam%2Fapp%3Apull", "repository%3Ateam%2Fapp%3Ametadata_read"]
    assert asking.capabilities.holds(DigestList.ACR) is True


async def test_pages_are_followed_as_the_registry_links_them(script: Script, asking: RegistryClient) -> None:
    more = "/acr/v1/team%2Fapp/_tags?last=v3&n=3&orderby="
    azure(script, page(*(entry(tag) for tag in TAGS[:3]), following=more))
    script.on("GET", "/acr/v1/team%2Fapp/_tags", page(*(entry(tag, str(TWO)) for tag in TAGS[3:])))
    assert await told(asking) == {**dict.fromkeys(TAGS[:3], ONE), **dict.fromkeys(TAGS[3:], TWO)}
    assert [seen.target for seen in script.asked("GET", "/acr")] == [f"{LIST}?n=1000", more]


async def test_a_page_size_that_is_refused_is_left_away(script: Script, asking: RegistryClient) -> None:
    azure(script, WHOLE)
    script.on("GET", rf"{LIST}\?n=", error(400, "PAGINATION_NUMBER_INVALID"))
    for _ in range(2):
        assert await told(asking) == dict.fromkeys(TAGS, ONE)
    assert [seen.target for seen in script.asked("GET", LIST)] == [f"{LIST}?n=1000", LIST, LIST]


async def test_what_a_list_leaves_out_or_tells_twice_is_asked_for_and_more_than_the_tags_is_nothing(
    script: Script, asking: RegistryClient
) -> None:
    azure(script, page(entry("v1"), entry("v2"), entry("v2", str(TWO)), entry("v9"), entry("v3"), entry("v3")))
    assert await told(asking) == {**UNTOLD, "v1": ONE, "v3": ONE}


WRONG = {
    "not there": error(404, "NAME_UNKNOWN"),
    "not there, says a proxy": Say(404, {"Content-Type": "text/html"}, b"<html>no</html>"),
    "refused": error(403, "DENIED"),
    "not understood": error(405, "UNSUPPORTED"),
    "a page for people": Say(200, {"Content-Type": "text/html"}, b"<html>welcome</html>"),
    "half of it": Say(200, {}, b'{"imageName": "team/app", "tags": ['),
    "too long": Say(200, {}, b'{"imageName": "team/app", "tags": [' + b" " * (4 << 20) + b"]}"),
    "told twice": Say(200, {}, b'{"imageName": "team/app", "tags": [], "tags": []}'),
    "of another repository": page(entry("v1"), repository="team/other"),
    "of none": say_json({"tags": [entry("v1")]}),
    "names alone": say_json({"imageName": TEAM, "tags": TAGS}),
    "a map": say_json({"imageName": TEAM, "tags": {"v1": str(ONE)}}),
    "a list": say_json([entry("v1")]),
    "no digest": page(entry("v1"), {"name": "v2"}),
    "a short digest": page(entry("v1"), entry("v2", "sha256:12")),
    "a digest that is a path": page(entry("v1"), entry("v2", "sha256:../../../etc/passwd")),
    "a number": page(entry("v1"), entry("v2", 7)),
    "no tag": page(entry("v1"), entry("v 2")),
    "elsewhere": Say(307, {"Location": "/elsewhere"}),
    "goes on elsewhere": page(entry("v1"), following="https://attacker.example.com/acr/v1/team/app/_tags"),
    "goes on for ever": page(entry("v1"), following=f"{LIST}?n=1000"),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG.keys())
async def test_a_list_that_is_not_as_expected_tells_nothing_and_is_left_alone_for_an_hour(
    script: Script, asking: RegistryClient, fake_clock: FakeClock, answer: Say
) -> None:
    azure(script, answer)
    assert await told(asking) == UNTOLD
    assert asking.capabilities.holds(DigestList.ACR) is False
    asked = len(script.asked("GET", "/acr"))
    assert await told(asking) == UNTOLD
    assert len(script.asked("GET", "/acr")) == asked
    assert not script.asked("GET", "/elsewhere")
    fake_clock.advance(LACKS_FOR)
    azure(script, WHOLE)
    assert await told(asking) == dict.fromkeys(TAGS, ONE)


async def test_a_list_that_tells_other_digests_than_the_registry_is_not_believed(
    script: Script, asking: RegistryClient
) -> None:
    azure(script, page(*(entry(tag, str(TWO)) for tag in TAGS)))
    for _ in range(2):
        assert await told(asking) == UNTOLD
    assert len(script.asked("GET", LIST)) == 1


async def test_an_empty_list_proves_nothing(script: Script, asking: RegistryClient) -> None:
    azure(script, page())
    assert await told(asking) == UNTOLD
    assert asking.capabilities.holds(DigestList.ACR) is None


@pytest.mark.parametrize("answer", [error(503, "UNAVAILABLE"), error(500, "UNKNOWN")], ids=["503", "500"])
async def test_trouble_teaches_nothing(script: Script, asking: RegistryClient, answer: Say) -> None:
    azure(script, answer, WHOLE)
    assert await told(asking) == UNTOLD
    assert asking.capabilities.holds(DigestList.ACR) is None
    assert await told(asking) == dict.fromkeys(TAGS, ONE)


async def test_the_refusal_of_one_repository_says_nothing_of_others(script: Script, asking: RegistryClient) -> None:
    azure(script, WHOLE, error(403, "DENIED"), WHOLE)
    assert [await told(asking) for _ in range(3)] == [
        dict.fromkeys(TAGS, ONE),
        UNTOLD,
        dict.fromkeys(TAGS, ONE),
    ]


async def test_what_was_proven_and_is_not_as_expected_any_more_is_given_up(
    script: Script, asking: RegistryClient
) -> None:
    azure(script, WHOLE, page(entry("v1", "none")))
    assert [await told(asking) for _ in range(2)] == [dict.fromkeys(TAGS, ONE), UNTOLD]
    assert asking.capabilities.holds(DigestList.ACR) is False


@pytest.mark.parametrize("realm", ["/token", "/jwt/auth", "/service/token"])
async def test_a_registry_whose_tokens_come_from_another_place_is_asked_only_where_the_settings_say_so(
    script: Script, asking: RegistryClient, realm: str
) -> None:
    azure(script, WHOLE, realm=realm)
    assert await told(asking) == UNTOLD
    assert not script.asked("GET", "/acr")
    said = CapabilitiesSettings(digest_list="acr")
    async with client_for(script.url, credentials=password(), capabilities=said) as told_so:
        assert await told(told_so) == dict.fromkeys(TAGS, ONE)


@pytest.mark.parametrize("said", ["none", "harbor"])
async def test_a_list_that_the_settings_deny_is_not_asked_for(
    script: Script, said: Literal["none", "harbor"]
) -> None:
    azure(script, WHOLE)
    capabilities = CapabilitiesSettings(digest_list=said)
    async with client_for(script.url, credentials=password(), capabilities=capabilities) as client:
        assert await told(client) == UNTOLD
    assert not script.asked("GET", "/acr")


async def test_a_token_server_elsewhere_makes_it_none_of_azures(script: Script) -> None:
    async with run_script() as other:
        other.on("GET", "/oauth2/token", say_json({"access_token": "t", "expires_in": 3600}))
        azure(script, WHOLE)
        script.on(
            "GET",
            "/v2/",
            demand("t", say_json({"name": TEAM, "tags": TAGS}), bearer(f"{other.url}/oauth2/token")),
        )
        async with client_for(script.url, credentials=password(), realm_allow=(other.host,)) as client:
            assert await told(client) == UNTOLD
    assert not script.asked("GET", "/acr")


@pytest.mark.parametrize("digests", [False, True])
async def test_it_is_not_asked_for_where_nobody_needs_it(
    script: Script, asking: RegistryClient, digests: bool
) -> None:
    azure(script, WHOLE)
    if digests:
        script.on("GET", "/v2/", demand("t", say_json({"tags": TAGS[:3]}), bearer("/oauth2/token")))
    found = await asking.all_tags(TEAM, digests=digests)
    assert set(found.tags.values()) == {None}
    assert not script.asked("GET", "/acr")


async def test_a_right_that_the_login_lacks_shuts_nobody_else_out(script: Script, asking: RegistryClient) -> None:
    """The token server's 401 for Azure's own right is not about the password, which it took a moment ago."""
    azure(script, WHOLE)

    async def tokens(request: web.Request) -> web.Response:
        if "metadata_read" in request.query["scope"]:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        return web.json_response({"access_token": "t", "expires_in": 3600})

    script.on("GET", "/oauth2/token", tokens)
    assert await told(asking) == UNTOLD
    script.on("HEAD", "/v2/team/app/blobs", demand("t", Say(200, {"Content-Length": str(BLOB.size)}), error(403, "")))
    assert await asking.has_blob(TEAM, BLOB)
    assert asking.capabilities.holds(DigestList.ACR) is False
    script.on("GET", "/oauth2/token", error(401, "UNAUTHORIZED"))
    asking.credentials_changed()
    with pytest.raises(AccessDenied):
        await asking.has_blob(TEAM, BLOB)


ARTIFACTS = "/api/v2.0/projects/team/repositories/app/artifacts"


def artifact(digest: object, *tags: str) -> dict[str, object]:
    return {"id": 1, "digest": digest, "tags": [{"id": 1, "name": tag} for tag in tags] or None}


def harbor(script: Script, answer: Say, challenge: Say | None = None, *, user: str = "mirror") -> None:
    """Let the registry be a Harbor, whose artifacts are listed so to those who send user and password."""
    given = challenge or bearer("/service/token", service="harbor-registry")
    script.on("GET", "/service/token", say_json({"token": "t", "expires_in": 3600}))
    script.on("GET", "/v2/", demand("t", say_json({"name": TEAM, "tags": TAGS}), given))
    script.on("HEAD", f"/v2/{TEAM}/manifests/", demand("t", manifest_answer(BODY), given))
    right = basic(user, "canary-password")["Authorization"]

    async def listed(request: web.Request) -> web.Response:
        say = answer if request.headers.get("Authorization") == right else error(401, "UNAUTHORIZED")
        return web.Response(status=say.status, body=say.body, headers=plain(say.headers))

    script.on("GET", "/api/", listed)


async def test_harbor_is_asked_with_user_and_password_as_its_api_takes_no_tokens(
    script: Script, asking: RegistryClient
) -> None:
    harbor(script, say_json([artifact(str(ONE), "v1", "v2"), artifact("sha256:none"), artifact(str(TWO), "v4")]))
    for _ in range(2):
        assert await told(asking) == {**UNTOLD, "v1": ONE, "v2": ONE, "v4": TWO}
    query = "with_tag=true&with_label=false&with_scan_overview=false&q=tags%3D*&page=1&page_size=100"
    assert [seen.target for seen in script.asked("GET", "/api")] == [f"{ARTIFACTS}?{query}"] * 2
    assert asking.capabilities.holds(DigestList.HARBOR) is True


async def test_a_harbor_that_asks_for_basic_is_one_too(script: Script, asking: RegistryClient) -> None:
    """It does so for its catalog, and for whoever sent a token that it does not take."""
    harbor(script, say_json([artifact(str(ONE), *TAGS)]))
    right = basic("mirror", "canary-password")["Authorization"]

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") == right:
            return web.json_response({"tags": TAGS})
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="harbor"'})

    script.on("GET", "/v2/", answer)
    script.on("HEAD", "/v2/", manifest_answer(BODY))
    assert await told(asking) == dict.fromkeys(TAGS, ONE)


@pytest.mark.parametrize(
    "answer",
    [
        error(401, "UNAUTHORIZED"),
        error(403, "FORBIDDEN"),
        error(404, "NOT_FOUND"),
        Say(200, {"Content-Type": "text/html"}, b"<html>Harbor</html>"),
        say_json({"artifacts": []}),
        say_json(["v1"]),
        say_json([artifact(7, "v1")]),
        say_json([artifact("sha256:12", "v1")]),
        say_json([artifact(str(ONE), "v 1")]),
        say_json([{"digest": str(ONE), "tags": ["v1"]}]),
        say_json([{"digest": str(ONE), "tags": {"name": "v1"}}]),
        say_json([artifact(str(ONE), "v1")], Link='<//attacker.example.com/api>; rel="next"'),
    ],
)
async def test_a_list_of_artifacts_that_is_not_as_expected_tells_nothing(
    script: Script, asking: RegistryClient, answer: Say
) -> None:
    harbor(script, answer)
    for _ in range(2):
        assert await told(asking) == UNTOLD
    assert len(script.asked("GET", "/api")) == 1
    assert asking.capabilities.holds(DigestList.HARBOR) is False


async def test_the_password_is_sent_to_no_registry_that_is_not_given_it_anyway(
    script: Script, elsewhere: Script
) -> None:
    """The token server is another, so the registry itself never sees the password, whatever the settings say."""
    elsewhere.on("GET", "/service/token", say_json({"token": "t", "expires_in": 3600}))
    challenge = bearer(f"{elsewhere.url}/service/token", service="harbor-registry")
    harbor(script, say_json([artifact(str(ONE), *TAGS)]), challenge)
    said = CapabilitiesSettings(digest_list="harbor")
    for capabilities in (None, said):
        other: Any = {"realm_allow": (elsewhere.host,), "capabilities": capabilities}
        async with client_for(script.url, credentials=password(), **other) as client:
            assert await told(client) == UNTOLD
    assert {seen.authorization for seen in script.seen} == {None, "Bearer t"}
    assert [seen.authorization for seen in script.asked("GET", "/api")] == [None]


async def test_a_name_in_no_project_is_none_of_harbors(script: Script) -> None:
    harbor(script, error(500, "UNKNOWN"))
    said = CapabilitiesSettings(digest_list="harbor")
    async with client_for(script.url, credentials=password(), capabilities=said) as client:
        assert set((await client.all_tags(Repository("app"), digests=True)).tags.values()) == {None}
    assert not script.asked("GET", "/api")


@pytest.mark.parametrize("answer", [[{"imageTag": "v1"}], ["v1"], [{"imageTag": "v 1", "imageDigest": str(ONE)}]])
async def test_identifiers_of_images_that_are_not_as_expected_are_an_error_that_proves_it(
    answer: list[object],
) -> None:
    async def images(_: str) -> list[object]:
        return answer

    with pytest.raises(RegistryError, match="ecr:ListImages was answered, ") as caught:
        await EcrList("primary", images).read(TEAM)
    assert not isinstance(caught.value, AccessDenied)


@pytest.mark.parametrize("temporary", [False, True])
async def test_an_identity_that_may_not_list_images_is_a_refusal(temporary: bool) -> None:
    async def images(_: str) -> list[object]:
        raise NoProof("AWS refused ecr:ListImages (AccessDeniedException)", temporary=temporary)

    with pytest.raises(AccessDenied, match="AWS refused") as caught:
        await EcrList("primary", images).read(TEAM)
    assert caught.value.temporary == temporary


QUAY_TAGS = f"/api/v1/repository/{TEAM}/tag/"


def quay_page(*tags: str, more: object = False, digest: object = str(ONE)) -> Say:
    entries = [{"name": tag, "manifest_digest": digest, "start_ts": 1} for tag in tags]
    return say_json({"tags": entries, "page": 1, "has_additional": more})


def quay(script: Script, *answers: Say) -> None:
    """Let the registry be a Quay whose own list is answered so."""
    azure(script, realm="/v2/auth")
    script.on("GET", "/v2/auth", say_json({"token": "t"}))
    script.on("GET", "/api", *answers)


async def test_quays_pages_are_numbered_and_its_api_is_given_the_token_that_is_the_password(script: Script) -> None:
    quay(script, quay_page("v1", "v2", more=True), quay_page("v3", more=True), quay_page("v5"))
    async with client_for(script.url, credentials=password("$oauthtoken")) as client:
        assert await told(client) == {**UNTOLD, "v1": ONE, "v2": ONE, "v3": ONE, "v5": ONE}
    first = f"{QUAY_TAGS}?onlyActiveTags=true&limit=100"
    seen = script.asked("GET", "/api")
    assert [one.target for one in seen] == [first, f"{first}&page=2", f"{first}&page=3"]
    assert {one.authorization for one in seen} == {"Bearer canary-password"}


async def test_quay_is_asked_by_nobody_without_a_token(script: Script) -> None:
    quay(script, quay_page(*TAGS))
    async with client_for(script.url) as client:
        assert await told(client) == dict.fromkeys(TAGS, ONE)
    assert [one.authorization for one in script.asked("GET", "/api")] == [None]


@pytest.mark.parametrize(
    "answer",
    [
        say_json({"error_message": "no", "status": 401}, 401),
        say_json([]),
        say_json({"has_additional": False}),
        quay_page(*TAGS, more=None),
        quay_page(*TAGS, more="yes"),
        quay_page(*TAGS, digest=None),
        quay_page("v 1"),
    ],
)
async def test_a_list_of_quays_that_is_not_as_expected_tells_nothing(script: Script, answer: Say) -> None:
    quay(script, answer)
    async with client_for(script.url, credentials=password("$oauthtoken")) as client:
        assert [await told(client) for _ in range(2)] == [UNTOLD, UNTOLD]
        assert client.capabilities.holds(DigestList.QUAY) is False
    assert len(script.asked("GET", "/api")) == 1
