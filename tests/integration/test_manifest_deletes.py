"""Deletes of manifests without a tag on real registries: what nothing needs goes, lists of referrers follow."""

import json
from functools import partial
from pathlib import Path

import aiohttp

from replicator.model import Digest
from replicator.referrers import fallback_tag
from tests.integration.commands import command
from tests.integration.site import Site, run_site
from tests.support.content import Content, Image, make_image
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, make_index, push, read_manifest, tag_digest

REPO = "team/app"
IMAGE, PLAIN, NEEDED = make_image("image", (10,)), make_image("plain", (10,)), make_image("needed", (10,))
SECTIONS = {
    "rules": [{"deletes": "propagate", "referrers": True}],
    "deletes": {"grace": "1s", "breaker": {"count": 9, "percent": 100}},
}


def referrer(subject: Content) -> Image:
    entry = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
    return make_image("signature", (10,), extra={"subject": entry})


async def delete(site: Site, digest: Digest) -> None:
    """Delete a manifest on the primary."""
    url = f"{site.primary.url}/v2/{REPO}/manifests/{digest}"
    async with aiohttp.ClientSession() as session, session.delete(url) as answer:
        assert answer.status == 202


async def listed(site: Site, replica: str) -> list[str]:
    """Return what a replica says refers to the image, by its API or by the list that stands in for it."""
    url = f"{site.url(replica)}/v2/{REPO}/referrers/{IMAGE.digest}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        if answer.status == 200:
            return [one["digest"] for one in (await answer.json(content_type=None))["manifests"]]
    found = await read_manifest(site.url(replica), REPO, fallback_tag(IMAGE.digest))
    return [] if found is None else [one["digest"] for one in json.loads(found[1])["manifests"]]


async def test_what_nothing_needs_goes_and_the_rest_stays_whole(tmp_path: Path) -> None:
    signature, index = referrer(IMAGE), make_index([NEEDED])
    kinds = {"primary": "distribution3", "eu": "distribution3", "us": "oci"}
    async with run_site(tmp_path, kinds=kinds, sections=SECTIONS) as site:  # type: ignore[arg-type]  # names of kinds
        for tag in ("v1", "v2", "v3"):  # of so many tags three are not too much
            await push(site.primary.url, REPO, tag, IMAGE)
            await site.arrived(REPO, tag, IMAGE.digest, within=30)
        for one in (signature, PLAIN, NEEDED):
            await push(site.primary.url, REPO, None, one)
        for one in (signature, PLAIN, NEEDED):
            await site.arrived(REPO, one.digest, one.digest, within=30)
        for name in site.replicas:
            await eventually(partial(is_listed, site, name, signature), within=20, what="it is listed")
            await push(site.url(name), REPO, "theirs", index)  # somebody needs it there
        await site.settled()
        for one in (signature, PLAIN, NEEDED):
            await delete(site, one.digest)
        for name in site.replicas:
            for one in (signature, PLAIN):
                await eventually(partial(is_gone, site, name, one), within=30, what="it is gone")
            await eventually(partial(is_needed, site, name), within=30, what="it stays")
            await eventually(partial(is_empty, site, name), within=30, what="nothing is listed")
            assert await tag_digest(site.url(name), REPO, "v1") == IMAGE.digest
            assert NEEDED.digest in (await fetch_closure(site.url(name), REPO, "theirs", deep=True)).manifests
        await eventually(lambda: len(site.daemon.events("manifest_deleted")) == 4, what="all four are in the log")
        shown = await command(site, "status")
        assert "us: tags and manifests that the primary lost stay (needed: 1)" in shown.stdout


async def is_listed(site: Site, replica: str, one: Image) -> bool:
    return str(one.digest) in await listed(site, replica)


async def is_empty(site: Site, replica: str) -> bool:
    return await listed(site, replica) == []


async def is_gone(site: Site, replica: str, one: Image) -> bool:
    return await tag_digest(site.url(replica), REPO, one.digest) is None


def is_needed(site: Site, replica: str) -> bool:
    return site.daemon.metric("replicator_deletes_total", replica=replica, result="needed") == 1
