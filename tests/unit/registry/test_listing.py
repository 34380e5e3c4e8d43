"""Lists end where the registry says so, or in an error; never early without one (L1, L2, S9)."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from aiohttp import web

from replicator.errors import NotFound, RegistryError
from replicator.model import Digest
from replicator.registry import pages
from replicator.registry.client import RegistryClient
from replicator.settings.registries import CapabilitiesSettings
from tests.unit.registry.scripted import TEAM, Say, Script, bearer, client_for, demand, error, say_json

TAGS = "/v2/team/app/tags/list"
ONE, TWO = Digest.of(b"one"), Digest.of(b"two")


def page(*tags: str, following: str = "") -> Say:
    body = {"name": TEAM, "tags": list(tags)}
    return say_json(body, Link=f'<{following}>; rel="next"') if following else say_json(body)


async def listed(client: RegistryClient) -> list[str]:
    return [tag async for tag in client.tags(TEAM)]


async def test_l1_pages_are_followed_by_their_links_as_written(script: Script, client: RegistryClient) -> None:
    script.on("GET", rf"{TAGS}\?n=1000$", page("a", "b", following=f"{TAGS}?last=b%2B&n=2"))
    script.on("GET", rf"{TAGS}\?last=b", page("c", following=f"{script.url}{TAGS}?next_page=opaque%3D%3D"))
    script.on("GET", rf"{TAGS}\?next_page", page("d"))
    assert await listed(client) == ["a", "b", "c", "d"]
    assert [seen.target.partition("?")[2] for seen in script.seen] == [
        "n=1000",
        "last=b%2B&n=2",
        "next_page=opaque%3D%3D",
    ]


NUMBERED = tuple(f"v{n:05}" for n in range(5000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a registry that never links answers `n` and `last`."""

    cuts: bool = True
    heeds_last: bool = True
    begins_anew: bool = False  # when nothing lies behind `last`
    in_order: bool = True
    refuses_last: bool = False
    most: int | None = None  # more than that is refused


def serve(script: Script, tags: Sequence[str], manner: Manner) -> None:
    chance = random.Random(7)

    async def answer(request: web.Request) -> web.StreamResponse:
        size, last = request.query.get("n"), request.query.get("last")
        if size is not None and manner.most is not None and int(size) > manner.most:
            return web.json_response({"errors": [{"code": "PAGINATION_NUMBER_INVALID"}]}, status=400)
        if last is not None and manner.refuses_last:
            return web.json_response({"errors": [{"code": "UNSUPPORTED"}]}, status=400)
        left = sorted(tags) if manner.in_order else chance.sample(tags, len(tags))
        if last is not None and manner.heeds_last:
            left = [tag for tag in left if tag > last] or (left if manner.begins_anew else [])
        return web.json_response({"name": TEAM, "tags": left[: int(size)] if size and manner.cuts else left})

    script.on("GET", TAGS, answer)


MANNERS = {
    "by_the_specification": Manner(),
    "go_containerregistry_tags": Manner(begins_anew=True),
    "go_containerregistry_catalog": Manner(heeds_last=False, in_order=False),
    "distribution_2_8": Manner(cuts=False, heeds_last=False, in_order=False),
    "no_last": Manner(heeds_last=False),
    "last_refused": Manner(refuses_last=True),
    "large_pages_refused": Manner(most=1000),
    "nothing_but_whole": Manner(most=1000, refuses_last=True),
}


@pytest.mark.parametrize("count", [999, 1000, 1001, 2000, 2500, 4000])
@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
async def test_l1_a_list_that_is_cut_without_link_is_read_to_its_end(
    script: Script, client: RegistryClient, manner: Manner, count: int
) -> None:
    """`Link` is a MAY of the specification, so a page that is exactly full may be cut: it is asked for more."""
    serve(script, NUMBERED[:count], manner)
    assert sorted(await listed(client)) == sorted(NUMBERED[:count])
    assert len(script.seen) <= 8


async def test_l1_a_page_that_is_not_full_is_not_asked_for_more(script: Script, client: RegistryClient) -> None:
    serve(script, NUMBERED[:999], Manner())
    await listed(client)
    assert len(script.seen) == 1


async def test_l1_a_registry_that_links_tells_its_own_end(script: Script, client: RegistryClient) -> None:
    script.on("GET", rf"{TAGS}\?n=1000$", page(*NUMBERED[:1000], following=f"{TAGS}?n=1000&last=x"))
    script.on("GET", rf"{TAGS}\?n=1000&last=x$", page(*NUMBERED[1000:2000]))
    assert await listed(client) == list(NUMBERED[:2000])
    assert len(script.seen) == 2


async def test_l1_a_link_behind_a_cut_page_is_followed(script: Script, client: RegistryClient) -> None:
    script.on("GET", rf"{TAGS}\?n=1000$", page(*NUMBERED[:1000]))
    script.on("GET", rf"{TAGS}\?n=1000&last=v00999$", page(*NUMBERED[1000:1010], following=f"{TAGS}?next=3"))
    script.on("GET", rf"{TAGS}\?next=3", page(*NUMBERED[1009:1020]))
    assert await listed(client) == list(NUMBERED[:1020])


async def test_l1_a_list_that_cannot_be_known_to_be_whole_is_an_error(script: Script, client: RegistryClient) -> None:
    script.on("GET", TAGS, error(400, "UNSUPPORTED"))
    script.on("GET", rf"{TAGS}\?n=1000$", page(*NUMBERED[:1000]))
    with pytest.raises(RegistryError):
        await listed(client)


async def test_l1_s9_a_registry_that_always_finds_more_comes_to_an_end(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "_MOST_PAGES", 100)
    count = itertools.count()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"tags": [f"v{next(count):09}" for _ in range(int(request.query["n"]))]})

    script.on("GET", TAGS, answer)
    async with client_for(script.url, capabilities=CapabilitiesSettings(page_size=1)) as client:
        with pytest.raises(RegistryError, match="does not come to an end"):
            await listed(client)


async def test_s9_a_registry_that_tells_digests_without_end_comes_to_an_end(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are kept until the list is read, also those of tags that it does not name."""
    monkeypatch.setattr(pages, "_MOST_DIGESTS", 100)
    count = itertools.count()

    async def answer(_: web.Request) -> web.StreamResponse:
        number = next(count)
        manifest = {str(ONE): {"tag": [f"v{number}-{one}" for one in range(10)]}}
        link = {"Link": f'<{TAGS}?page={number}>; rel="next"'} if number < 20 else {}
        return web.json_response({"tags": [], "manifest": manifest}, headers=link)

    script.on("GET", TAGS, answer)
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError, match="more than 100 tags"):
            await client.all_tags(TEAM, digests=True)


@pytest.mark.parametrize("body", [b'{"name":"team/app","tags":null}', b'{"name":"team/app"}', b'{"tags":[]}'])
async def test_l1_no_tags_is_an_empty_list(script: Script, client: RegistryClient, body: bytes) -> None:
    script.on("GET", TAGS, Say(200, {}, body))
    assert await listed(client) == []


@pytest.mark.parametrize(
    ("manifest", "told"),
    [
        ({str(ONE): {"tag": ["v1", "latest"]}, str(TWO): {"tag": []}}, {"v1": ONE, "latest": ONE, "v2": None}),
        ({str(ONE): {"tag": ["v1", "v2"]}, str(TWO): {"tag": ["v1"]}}, {"v1": None, "latest": None, "v2": ONE}),
        ({str(ONE): {"tag": ["elsewhere"]}}, dict.fromkeys(("v1", "latest", "v2"))),
        ({"sha256:short": {"tag": ["v1"]}, str(TWO): {"tag": "v1"}}, dict.fromkeys(("v1", "latest", "v2"))),
        ({str(ONE): ["v1"], str(TWO): {"tag": [1]}}, dict.fromkeys(("v1", "latest", "v2"))),
        ([str(ONE)], dict.fromkeys(("v1", "latest", "v2"))),
    ],
    ids=["told", "claimed-twice", "not-listed", "no-digest", "no-tags", "no-map"],
)
async def test_digests_that_a_list_of_tags_tells_are_taken_where_they_are_clear(
    script: Script, client: RegistryClient, manifest: object, told: dict[str, Digest | None]
) -> None:
    script.on("GET", TAGS, say_json({"name": TEAM, "tags": ["v1", "latest", "v2"], "manifest": manifest}))
    found = await client.all_tags(TEAM)
    assert found.whole
    assert dict(found.tags) == told


async def test_l1_a_page_size_that_is_refused_is_left_away(script: Script, client: RegistryClient) -> None:
    script.on("GET", rf"{TAGS}\?n=", error(400, "PAGINATION_NUMBER_INVALID"))
    script.on("GET", f"{TAGS}$", page("a"))
    assert await listed(client) == ["a"]


async def test_l1_a_repository_without_tags_may_be_not_found(script: Script, client: RegistryClient) -> None:
    script.on("GET", TAGS, error(404, "NAME_UNKNOWN"))
    with pytest.raises(NotFound):
        await listed(client)


@pytest.mark.parametrize(
    "answer",
    [
        Say(200, {}, b"<html>"),
        Say(200, {}, b"[]"[:1]),
        say_json({"tags": "v1"}),
        say_json({"tags": [1]}),
        say_json({"tags": ["ok", "../../etc/passwd"]}),
        say_json({"tags": ["a\nb"]}),
        say_json({"tags": ["\u0661"]}),
        Say(200, {}, b'{"tags":["a"],"tags":[]}'),
        Say(200, {}, b'{"tags":["' + b"a" * (4 * 1024 * 1024) + b'"]}'),
        Say(500),
    ],
)
async def test_s7_s9_a_page_that_cannot_be_trusted_is_an_error(
    script: Script, client: RegistryClient, answer: Say
) -> None:
    script.on("GET", TAGS, answer)
    with pytest.raises(RegistryError) as caught:
        await listed(client)
    assert caught.value.temporary


async def test_l1_s9_a_list_that_goes_in_a_circle_is_an_error(script: Script, client: RegistryClient) -> None:
    script.on("GET", TAGS, page("a", following=f"{TAGS}?last=a"))
    with pytest.raises(RegistryError, match="does not come to an end"):
        await listed(client)
    assert len(script.seen) <= 3


async def test_an_error_in_the_middle_is_an_error_of_the_list(script: Script, client: RegistryClient) -> None:
    script.on("GET", rf"{TAGS}\?n", page("a", following=f"{TAGS}?last=a"))
    script.on("GET", rf"{TAGS}\?last", Say(503))
    got: list[str] = []

    async def read() -> None:
        async for tag in client.tags(TEAM):
            got.append(tag)  # noqa: PERF401 -- what came before the error is looked at

    with pytest.raises(RegistryError):
        await read()
    assert got == ["a"]


async def test_l2_the_catalog_needs_a_right_of_its_own(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "t"}))
    script.on("GET", "/v2/_catalog", demand("t", say_json({"repositories": ["a", "b/c"]}), bearer("/token")))
    async with client_for(script.url) as client:
        assert [one async for one in client.repositories()] == ["a", "b/c"]
    assert "scope=registry%3Acatalog%3A%2A" in script.asked("GET", "/token")[0].target


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_l2_a_registry_without_catalog_says_so(script: Script, client: RegistryClient, status: int) -> None:
    script.on("GET", "/v2/_catalog", error(status, "UNSUPPORTED"))
    with pytest.raises(RegistryError):
        _ = [one async for one in client.repositories()]
