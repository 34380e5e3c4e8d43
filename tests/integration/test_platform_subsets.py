"""Only some platforms of an image, under its own digest: on registries that take such an index, and on others not."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.integration.commands import command, copied
from tests.integration.events import post_push
from tests.integration.site import Site, run_site
from tests.support.content import Content
from tests.support.eventually import eventually
from tests.support.images import make_image, make_index, push, read_manifest, tag_digest
from tests.support.registries import run_distribution3

REPO = "team/app"
AMD = make_image("amd", (300_000,))
ARM = make_image("arm", (300_000,), platform="linux/arm64")
S390 = make_image("s390", (300_000,), platform="linux/s390x")
APP = make_index([AMD, ARM, S390])
RULES = {"rules": [{"platforms": ["linux/amd64", "linux/arm64/v8"]}]}


@contextlib.asynccontextmanager
async def site_with_distribution3(
    folder: Path, *, sparse: bool, running: bool = True
) -> AsyncIterator[tuple[Site, str]]:
    async with (
        run_distribution3(folder, name="three", sparse_index=sparse) as registry,
        run_site(folder, replicas=(), through={"eu": registry.url}, running=running, sections=RULES) as site,
    ):
        yield site, registry.url


async def test_the_index_is_the_same_and_only_the_chosen_children_are_there(tmp_path: Path) -> None:
    async with site_with_distribution3(tmp_path, sparse=True) as (site, url):
        await push(site.primary.url, REPO, "v1", APP)

        async def there() -> bool:
            return await tag_digest(url, REPO, "v1") == APP.digest

        await eventually(there, within=15.0, what="the index is there")
        assert await read_manifest(url, REPO, "v1") == (APP.media_type, APP.body)
        for image in (AMD, ARM):
            assert await tag_digest(url, REPO, image.digest) == image.digest
        await eventually(lambda: _owed(site) == 0, within=15.0, what="nothing is owed")
        assert await tag_digest(url, REPO, S390.digest) is None


async def test_the_command_copy_brings_the_chosen_children_alone(tmp_path: Path) -> None:
    async with site_with_distribution3(tmp_path, sparse=True, running=False) as (site, url):
        await push(site.primary.url, REPO, "v1", APP)
        assert await copied(site, f"{REPO}:v1") == ["copied"]
        assert await read_manifest(url, REPO, "v1") == (APP.media_type, APP.body)
        assert await tag_digest(url, REPO, AMD.digest) == AMD.digest
        assert await tag_digest(url, REPO, S390.digest) is None
        assert await copied(site, f"{REPO}@{S390.digest}") == ["left_out"]
        assert await copied(site, f"{REPO}@{S390.digest}", "eu") == ["left_out"]
        assert await tag_digest(url, REPO, S390.digest) is None
    async with site_with_distribution3(tmp_path, sparse=False, running=False) as (site, url):
        await push(site.primary.url, REPO, "v1", APP)
        refused = await command(site, "copy", f"{REPO}:v1")
        assert refused.exit_code == 1
        assert "platforms: all" in refused.stdout
        assert await tag_digest(url, REPO, "v1") is None


async def test_a_replica_that_wants_all_children_refuses_once_and_says_what_to_do(tmp_path: Path) -> None:
    async with run_site(tmp_path, replicas=("eu",), sections=RULES, notifies=False) as site:
        # Of tags alone: a child that is pushed by its digest is sent for itself.
        await _push_and_tell(site, "v1", APP)
        await eventually(lambda: _parked(site) == 1, within=15.0, what="the index is parked")
        assert _sent(site) == 0, "it was asked before any byte was sent"
        again = make_index([make_image("amd 2", (300_000,)), S390])
        await _push_and_tell(site, "v2", again)
        await eventually(lambda: _parked(site) == 2, within=15.0, what="the second is parked too")
        (told,) = {
            line["error"]
            for line in site.daemon.log_lines()
            if line.get("event") == "reference_parked" and line.get("reference") == "v2"
        }
        assert "takes no index of which children are missing" in told
        assert "platforms: all" in told
        assert await tag_digest(site.url("eu"), REPO, "v2") is None
        assert _sent(site) == 0
        await _push_and_tell(site, "single", S390)
        await site.arrived(REPO, "single", S390.digest)


async def _push_and_tell(site: Site, tag: str, image: Content) -> None:
    await push(site.primary.url, REPO, tag, image)
    assert await post_push(site.hook_url, REPO, tag, image.digest) == 202


def _owed(site: Site) -> float:
    return site.daemon.metrics().value("replicator_replica_pending_updates", replica="eu")


def _parked(site: Site) -> float:
    return site.daemon.metrics().value("replicator_replica_failing_updates", replica="eu", reason="unsupported")


def _sent(site: Site) -> float:
    return site.daemon.metrics().value("replicator_copied_bytes_total", replica="eu")
