"""Deletes on real registries: told by an event or found by a sweep, done where a tag goes alone, left elsewhere."""

import json
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.commands import command, copied
from tests.integration.site import Site, run_site
from tests.support.content import make_image
from tests.support.eventually import eventually
from tests.support.images import push, tag_digest

IMAGE = make_image("image")
PROPAGATE = {"rules": [{"deletes": "propagate"}], "deletes": {"grace": "1s", "breaker": {"count": 2, "percent": 100}}}


async def delete(site: Site, repository: str, tag: str) -> None:
    """Delete a tag on the primary."""
    url = f"{site.primary.url}/v2/{repository}/manifests/{tag}"
    async with aiohttp.ClientSession() as session, session.delete(url) as answer:
        assert answer.status == 202


def ended(site: Site, replica: str, result: str) -> float:
    return site.daemon.metric("replicator_deletes_total", replica=replica, result=result)


def status(site: Site) -> Any:
    """Return what the API says of the only replica."""
    (found,) = json.loads(site.daemon.get("/api/v1/status"))["replicas"]
    return found


async def gone(site: Site, replica: str, repository: str, tag: str) -> None:
    async def is_gone() -> bool:
        return await tag_digest(site.url(replica), repository, tag) is None

    await eventually(is_gone, within=20, what=f"{tag} is gone on {replica}")


async def test_a_deleted_tag_goes_where_tags_go_alone_and_can_be_brought_back(tmp_path: Path) -> None:
    async with run_site(tmp_path, kinds={"primary": "distribution3", "eu": "oci"}, sections=PROPAGATE) as site:
        for tag in ("v1", "stable"):
            await push(site.primary.url, "team/app", tag, IMAGE)
            await site.arrived("team/app", tag, IMAGE.digest, within=30)
        await site.settled()
        await delete(site, "team/app", "v1")
        await gone(site, "eu", "team/app", "v1")
        assert await tag_digest(site.url("eu"), "team/app", "stable") == IMAGE.digest
        await eventually(lambda: ended(site, "us", "unsupported") == 1, within=20, what="2.8 is left alone")
        assert await tag_digest(site.url("us"), "team/app", "v1") == IMAGE.digest
        shown = await command(site, "status")
        assert "us: tags and manifests that the primary lost stay (unsupported: 1)" in shown.stdout
        (line,) = await eventually(lambda: site.daemon.events("tag_deleted"), what="the delete is in the log")
        assert (line["replica"], line["reference"], line["digest"]) == ("eu", "v1", str(IMAGE.digest))
        assert await tag_names(site, "eu") == {"stable"}, "what showed that tags go alone is removed again"
        assert await copied(site, f"team/app@{line['digest']}", "eu") == ["already_present"]
        back = await command(site, "copy", f"team/app@{line['digest']}", "--tag", "v1", "--replica", "eu")
        assert back.exit_code == 0, back.output
        assert await tag_digest(site.url("eu"), "team/app", "v1") == IMAGE.digest


async def tag_names(site: Site, replica: str) -> set[str]:
    url = f"{site.url(replica)}/v2/team/app/tags/list"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return set((await answer.json(content_type=None))["tags"])


async def test_too_many_that_a_sweep_finds_stop_until_they_are_let_go_on(tmp_path: Path) -> None:
    tags = ("v1", "v2", "v3")
    sections = PROPAGATE | {"sweep": {"every": "1s", "full_every": "1h"}}
    async with run_site(
        tmp_path, replicas=("eu",), kinds={"primary": "oci", "eu": "distribution3"}, notifies=False, sections=sections
    ) as site:
        for tag in (*tags, "kept"):
            await push(site.primary.url, "team/app", tag, IMAGE)
        for tag in (*tags, "kept"):
            await site.arrived("team/app", tag, IMAGE.digest, within=30)
        await eventually(lambda: status(site)["owed"] == 0, within=20, what="all is settled")
        site.daemon.kill9()  # all at once is what the next sweep finds
        for tag in tags:
            await delete(site, "team/app", tag)
        await site.daemon.start()
        await eventually(
            lambda: site.daemon.metric("replicator_deletes_stopped", replica="eu") == 1, within=30, what="it stops"
        )
        assert await tag_names(site, "eu") == {*tags, "kept"}
        deletes = status(site)["deletes"]
        assert (deletes["pending"], deletes["stopped_since"] is not None) == (3, True)
        assert (await command(site, "resume", "eu", "--deletes")).stdout == "deletes of eu go on\n"
        for tag in tags:
            await gone(site, "eu", "team/app", tag)
        assert await tag_names(site, "eu") == {"kept"}
        assert (await command(site, "resume", "eu", "--deletes")).stdout == "deletes of eu were not stopped\n"
