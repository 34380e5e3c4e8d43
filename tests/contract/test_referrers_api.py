"""Referrers as the client finds them on real registries: by the API, or known to have none."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicator.clock import SystemClock
from replicator.model import Digest, RawManifest, parse_repository, parse_tag
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient, open_registry
from replicator.settings.registries import ReplicaSettings
from tests.support.content import Image, make_image
from tests.support.images import push
from tests.support.registries import RUNNERS, Kind

REPO = parse_repository("team/app")
APP = make_image("app")
SUBJECT = {"mediaType": APP.media_type, "digest": str(APP.digest), "size": len(APP.body)}


@contextlib.asynccontextmanager
async def client_of(kind: Kind, folder: Path) -> AsyncIterator[tuple[RegistryClient, str]]:
    async with RUNNERS[kind](folder) as registry:
        settings = ReplicaSettings(name="eu", url=registry.url)
        async with open_registry(settings, clock=SystemClock()) as client:
            yield client, registry.url


def signature(number: int) -> Image:
    return make_image(f"signature {number}", (30,), extra={"subject": SUBJECT, "artifactType": "application/x.sig"})


async def test_the_api_lists_what_was_put_with_a_subject(tmp_path: Path) -> None:
    async with client_of("oci", tmp_path) as (client, url):
        await push(url, REPO, "v1", APP)
        assert await client.referrers(REPO, APP.digest) == ()
        assert client.capabilities.holds(Capability.REFERRERS) is True
        found = [signature(number) for number in range(3)]
        for one in found:
            await push(url, REPO, None, one)
        listed = await client.referrers(REPO, APP.digest)
        assert listed is not None
        assert {entry.digest for entry in listed} == {one.digest for one in found}
        assert {(entry.media_type, entry.size) for entry in listed} == {
            (one.media_type, len(one.body)) for one in found
        }
        assert await client.referrers(REPO, Digest.of(b"nothing refers to this")) == ()


@pytest.mark.parametrize("kind", ["distribution2", "distribution3"])
async def test_distribution_has_no_such_api(tmp_path: Path, kind: Kind) -> None:
    async with client_of(kind, tmp_path) as (client, url):
        await push(url, REPO, "v1", APP)
        assert await client.referrers(REPO, APP.digest) is None
        assert client.capabilities.holds(Capability.REFERRERS) is False


@pytest.mark.parametrize(("kind", "indexes"), [("oci", True), ("distribution2", None), ("distribution3", None)])
async def test_a_put_tells_whether_the_registry_lists_by_itself(
    tmp_path: Path, kind: Kind, indexes: bool | None
) -> None:
    one = signature(1)
    async with client_of(kind, tmp_path) as (client, url):
        await push(url, REPO, "v1", APP)
        await push(url, REPO, None, one)
        await client.write_manifest(REPO, one.digest, RawManifest(one.media_type, one.digest, one.body))
        assert client.capabilities.holds(Capability.REFERRERS) in {indexes, None}


@pytest.mark.parametrize("kind", ["oci", "distribution2", "distribution3"])
async def test_few_tags_are_told_and_many_are_not(tmp_path: Path, kind: Kind) -> None:
    async with client_of(kind, tmp_path) as (client, url):
        assert await client.few_tags(REPO, 2) == frozenset()
        await push(url, REPO, "v1", APP)
        await push(url, REPO, "v2", APP)
        assert await client.few_tags(REPO, 2) == frozenset({parse_tag("v1"), parse_tag("v2")})
        assert await client.few_tags(REPO, 1) is None
