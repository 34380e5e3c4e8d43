"""What a registry's answers to the small questions prove, and what they do not."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import anyio
import pytest
from aiohttp import web

from replicator.errors import RegistryError
from replicator.model import Repository
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient
from replicator.settings.registries import CapabilitiesSettings
from tests.unit.registry.scripted import TEAM, UPLOADS, Say, Script, client_for, error

MANIFESTS = "/v2/team/app/manifests/sha256:"


async def test_a_registry_that_misses_the_blobs_checks_and_is_asked_once(
    script: Script, client: RegistryClient
) -> None:
    script.on("PUT", MANIFESTS, error(404, "MANIFEST_BLOB_UNKNOWN"))
    assert await client.prove_checks_manifests(TEAM) is True
    assert await client.prove_checks_manifests(TEAM) is True
    (put,) = script.asked("PUT")
    document = json.loads(put.body)
    assert document["config"]["digest"] != document["layers"][0]["digest"]
    assert not script.asked("DELETE")


async def test_one_that_takes_the_manifest_does_not_check_and_gets_it_deleted(
    script: Script, client: RegistryClient
) -> None:
    script.on("PUT", MANIFESTS, Say(201))
    script.on("DELETE", MANIFESTS, Say(405))
    assert await client.prove_checks_manifests(TEAM) is False
    assert script.asked("DELETE")[0].target == script.asked("PUT")[0].target


@pytest.mark.parametrize("answer", [error(400, "MANIFEST_INVALID"), error(403, "DENIED"), Say(415), Say(404)])
async def test_another_refusal_proves_nothing(script: Script, client: RegistryClient, answer: Say) -> None:
    script.on("PUT", MANIFESTS, answer)
    assert await client.prove_checks_manifests(TEAM) is None
    assert client.capabilities.holds(Capability.CHECKS_MANIFESTS) is None


async def test_trouble_comes_out(script: Script, client: RegistryClient) -> None:
    script.on("PUT", MANIFESTS, Say(429, {"Retry-After": "600"}))
    with pytest.raises(RegistryError):
        await client.prove_checks_manifests(TEAM)
    script.on("POST", UPLOADS, Say(503))
    with pytest.raises(RegistryError):
        await client.prove_checks_digests(TEAM)


async def test_a_wrong_digest_is_refused_or_not(script: Script, client: RegistryClient) -> None:
    script.on("POST", UPLOADS, Say(202, {"Location": "/up"}))
    script.on("PATCH", "/up", Say(202, {"Location": "/up"}))
    script.on("DELETE", "/up", Say(204))
    script.on("PUT", "/up", Say(400))
    assert await client.prove_checks_digests(TEAM) is None
    script.on("PUT", "/up", error(400, "DIGEST_INVALID"))
    assert await client.prove_checks_digests(TEAM) is True
    async with client_for(script.url) as other:
        script.on("PUT", "/up", Say(201))
        assert await other.prove_checks_digests(TEAM) is False


@pytest.mark.parametrize("prove", [RegistryClient.prove_checks_digests, RegistryClient.prove_tag_delete_alone])
async def test_a_session_that_takes_no_bytes_is_given_up(
    script: Script, client: RegistryClient, prove: Callable[[RegistryClient, Repository], Awaitable[bool | None]]
) -> None:
    script.on("DELETE", MANIFESTS.partition("sha256")[0], Say(404))
    script.on("POST", UPLOADS, Say(202, {"Location": "/up"}))
    script.on("PATCH", "/up", Say(500))
    script.on("DELETE", "/up", Say(204))
    with pytest.raises(RegistryError, match="500"):
        await prove(client, TEAM)
    assert len(script.asked("DELETE", "/up")) == 1


@pytest.mark.parametrize("prove", [RegistryClient.prove_checks_manifests, RegistryClient.prove_sparse_index])
@pytest.mark.parametrize("end", ["cut", "lost"])
async def test_a_manifest_whose_put_is_cut_short_or_gets_no_answer_is_deleted(
    script: Script,
    client: RegistryClient,
    prove: Callable[[RegistryClient, Repository], Awaitable[bool | None]],
    end: str,
) -> None:
    """It may have arrived all the same."""

    async def put(request: web.Request) -> web.StreamResponse:
        if end == "cut":
            scope.cancel()
            await script.stopped.wait()
        elif request.transport is not None:
            request.transport.abort()
        return web.Response(status=201)

    script.on("PUT", MANIFESTS, put)
    script.on("HEAD", MANIFESTS, Say(503))
    script.on("DELETE", MANIFESTS, Say(202))
    with anyio.CancelScope() as scope:
        with pytest.raises(RegistryError):
            await prove(client, TEAM)
        assert end == "lost"
    assert scope.cancelled_caught is (end == "cut")
    assert script.asked("DELETE")[0].target == script.asked("PUT")[0].target


async def test_whoever_waits_for_a_proof_that_meets_trouble_does_not_try_in_its_turn(
    script: Script, client: RegistryClient
) -> None:
    """Where a registry hangs the last one would wait for as many timeouts as there are before it."""
    entered, opened = asyncio.Event(), asyncio.Event()

    async def start(_: web.Request) -> web.StreamResponse:
        entered.set()
        await opened.wait()
        return web.Response(status=500)

    script.on("POST", UPLOADS, start)
    asking = [asyncio.create_task(client.prove_resumes(TEAM)) for _ in range(5)]
    await entered.wait()
    opened.set()
    first, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, RegistryError)
    assert others == [None] * 4
    assert len(script.asked("POST")) == 1
    with pytest.raises(RegistryError):
        await client.prove_resumes(TEAM)
    assert len(script.asked("POST")) == 2


async def test_what_the_configuration_says_is_not_asked(script: Script) -> None:
    said = CapabilitiesSettings(checks_manifests=False, checks_digests=True)
    async with client_for(script.url, capabilities=said) as client:
        assert await client.prove_checks_manifests(TEAM) is False
        assert await client.prove_checks_digests(TEAM) is True
    assert not script.seen


async def test_an_index_without_its_child_is_taken_or_not_and_never_tagged(
    script: Script, client: RegistryClient
) -> None:
    script.on("PUT", MANIFESTS, error(404, "MANIFEST_BLOB_UNKNOWN"))
    assert await client.prove_sparse_index(TEAM) is False
    assert await client.prove_sparse_index(TEAM) is False
    (put,) = script.asked("PUT")
    assert len(json.loads(put.body)["manifests"]) == 1
    assert client.capabilities.holds(Capability.CHECKS_MANIFESTS) is None
    async with client_for(script.url) as other:
        script.on("PUT", MANIFESTS, Say(201))
        script.on("DELETE", MANIFESTS, Say(202))
        assert await other.prove_sparse_index(TEAM) is True
    assert script.asked("DELETE")[0].target == script.asked("PUT")[-1].target
    async with client_for(script.url) as third:
        script.on("PUT", MANIFESTS, error(400, "MANIFEST_INVALID"))
        assert await third.prove_sparse_index(TEAM) is None


@pytest.mark.parametrize(
    ("answer", "proven"),
    [
        (error(400, "DIGEST_INVALID"), False),
        (error(405, "UNSUPPORTED"), False),
        (error(404, "MANIFEST_UNKNOWN"), None),
        (Say(202), None),
        (error(403, "DENIED"), None),
    ],
)
async def test_that_no_tags_are_removed_is_found_out_with_one_that_never_was(
    script: Script, client: RegistryClient, answer: Say, *, proven: bool | None
) -> None:
    script.on("DELETE", "/v2/team/app/manifests/replicator-check-", answer)
    assert await client.prove_tag_delete(TEAM) is proven
    assert [seen.method for seen in script.seen] == ["DELETE"]


async def test_a_referrers_api_is_found_out_with_one_read(script: Script, client: RegistryClient) -> None:
    index = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    script.on("GET", "/v2/team/app/referrers/sha256:", Say(200, index, b'{"schemaVersion":2,"manifests":[]}'))
    assert await client.prove_referrers(TEAM) is True
    assert await client.prove_referrers(TEAM) is True
    assert len(script.seen) == 1
    async with client_for(script.url) as other:
        script.on("GET", "/v2/", Say(404))
        assert await other.prove_referrers(TEAM) is False
    async with client_for(script.url) as third:
        script.on("GET", "/v2/", Say(503))
        with pytest.raises(RegistryError):
            await third.prove_referrers(TEAM)
