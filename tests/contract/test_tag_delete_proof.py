"""Whether a tag goes alone is shown with content of our own, and what is shown is what the registry does."""

from collections.abc import AsyncIterator

import anyio
import pytest
from aiohttp import web

from replicator.clock import SystemClock
from replicator.errors import AccessDenied, RegistryError
from replicator.model import RawManifest, parse_repository, parse_tag
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient, open_registry
from replicator.settings.registries import ReplicaSettings
from tests.support.content import make_image
from tests.support.permissive import PermissiveRegistry, run_permissive
from tests.support.quirks import Asked, Quirk, refuses

TEAM, TAG, OTHER = parse_repository("team/app"), parse_tag("v1"), parse_tag("v2")
IMAGE = make_image("somebody's")


def along(asked: Asked) -> web.Response | None:
    """Delete the manifest along with a tag, and so all its tags."""
    if asked.to("DELETE", "manifest") and ":" not in asked.endpoint.reference:
        found = asked.storage.manifest(asked.endpoint.repository, asked.endpoint.reference)
        if found is not None:
            asked.storage.delete_manifest(asked.endpoint.repository, str(found.digest))
            return web.Response(status=202)
    return None


def nothing(asked: Asked) -> web.Response | None:
    """Take a delete and do nothing."""
    return web.Response(status=202) if asked.to("DELETE", "manifest") else None


@pytest.fixture
async def server() -> AsyncIterator[PermissiveRegistry]:
    async with run_permissive() as server:
        yield server


@pytest.fixture
async def client(server: PermissiveRegistry) -> AsyncIterator[RegistryClient]:
    settings = ReplicaSettings.model_validate({"name": "eu", "url": server.url})
    async with open_registry(settings, clock=SystemClock()) as client:
        for tag in (TAG, OTHER):
            await client.write_manifest(TEAM, tag, RawManifest(IMAGE.media_type, IMAGE.digest, IMAGE.body))
        yield client


async def tags(client: RegistryClient) -> list[str]:
    return [tag async for tag in client.tags(TEAM)]


async def test_one_that_removes_tags_alone_is_believed_for_a_while(
    server: PermissiveRegistry, client: RegistryClient
) -> None:
    assert await client.prove_tag_delete_alone(TEAM) is True
    assert await tags(client) == [TAG, OTHER]
    server.quirk = Quirk(before=nothing)
    assert await client.prove_tag_delete_alone(TEAM) is True, "nothing is asked again"


async def test_one_that_deletes_the_manifest_along_is_found_out_at_no_harm(
    server: PermissiveRegistry, client: RegistryClient
) -> None:
    server.quirk = Quirk(before=along)
    assert await client.prove_tag_delete_alone(TEAM) is False
    assert client.capabilities.holds(Capability.TAG_DELETE) is False
    assert await tags(client) == [TAG, OTHER]
    assert await client.stat_manifest(TEAM, IMAGE.digest) is not None


async def test_one_that_says_yes_and_does_nothing_shows_nothing(
    server: PermissiveRegistry, client: RegistryClient
) -> None:
    server.quirk = Quirk(before=nothing)
    assert await client.prove_tag_delete_alone(TEAM) is None
    assert client.capabilities.holds(Capability.TAG_DELETE) is None


async def test_where_nothing_may_be_deleted_nothing_is_put(
    server: PermissiveRegistry, client: RegistryClient
) -> None:
    server.quirk = Quirk(before=refuses(403, lambda asked: asked.to("DELETE", "manifest")).before)
    with pytest.raises(AccessDenied):
        await client.prove_tag_delete_alone(TEAM)
    assert await tags(client) == [TAG, OTHER]


async def test_one_that_takes_the_first_tag_and_not_the_second_is_left_neither(
    server: PermissiveRegistry, client: RegistryClient
) -> None:
    def kept(asked: Asked) -> bool:
        return asked.to("PUT", "manifest") and asked.endpoint.reference.endswith("-kept")

    server.quirk = Quirk(before=refuses(500, kept).before)
    with pytest.raises(RegistryError):
        await client.prove_tag_delete_alone(TEAM)
    assert await tags(client) == [TAG, OTHER]


@pytest.mark.parametrize("at", ["PUT", "DELETE"])
async def test_who_is_cut_short_leaves_no_tag(server: PermissiveRegistry, client: RegistryClient, at: str) -> None:
    put = 0

    def cut(asked: Asked) -> web.Response | None:
        nonlocal put
        put += asked.to("PUT", "manifest")
        if put == 2 and asked.to(at, "manifest"):
            scope.cancel()
        return None

    server.quirk = Quirk(before=cut)
    with anyio.CancelScope() as scope:
        await client.prove_tag_delete_alone(TEAM)
    assert scope.cancelled_caught
    assert await tags(client) == [TAG, OTHER]
