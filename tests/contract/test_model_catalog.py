"""What the registry in memory lists is what the real client lists over HTTP, so sweeps may use either."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from replicator.model import RawManifest, parse_repository, parse_tag
from replicator.replication.ports import Replica
from replicator.sweep.ports import Primary
from tests.contract.test_model_registry import over_http
from tests.support.content import Content, make_image
from tests.unit.replication.model_catalog import ModelCatalog
from tests.unit.replication.support import ModelRegistry

HERE, THERE = parse_repository("team/here"), parse_repository("team/there")
ONE, TWO = make_image("one"), make_image("two")


@dataclass(frozen=True, slots=True)
class Both:
    """A registry to write to, and its lists."""

    registry: Replica
    lists: Primary

    async def put(self, content: Content, *tags: str) -> None:
        for tag in tags:
            raw = RawManifest(content.media_type, content.digest, content.body)
            await self.registry.write_manifest(HERE, parse_tag(tag), raw)


@pytest.fixture(params=["memory", "http"])
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    if request.param == "memory":
        registry = ModelRegistry("eu")
        yield Both(registry, ModelCatalog(registry))
        return
    async with over_http() as client:
        yield Both(client, client)


async def test_an_empty_registry_lists_nothing(both: Both) -> None:
    assert [one async for one in both.lists.repositories()] == []
    assert not (await both.lists.all_tags(HERE)).tags


async def test_of_a_repository_that_it_does_not_know_it_is_not_sure(both: Both) -> None:
    await both.put(ONE, "v1")
    assert not (await both.lists.all_tags(THERE)).whole


async def test_what_was_put_is_listed(both: Both) -> None:
    await both.put(ONE, "v1", "v2")
    assert [one async for one in both.lists.repositories()] == [HERE]
    listed = await both.lists.all_tags(HERE)
    assert listed.whole
    assert dict(listed.tags) == {"v1": None, "v2": None}


async def test_a_tag_names_a_digest_known_or_not(both: Both) -> None:
    await both.put(ONE, "v1")
    assert await both.lists.named(HERE, parse_tag("v1"), ONE.digest) == ONE.digest
    assert await both.lists.named(HERE, parse_tag("v1"), TWO.digest) == ONE.digest
    assert await both.lists.named(HERE, parse_tag("v2"), ONE.digest) is None
