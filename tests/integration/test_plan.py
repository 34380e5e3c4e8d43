"""`plan` says what a sweep would do, asks the registries alone, and writes nothing anywhere."""

import json
from pathlib import Path
from typing import Any

from tests.integration.commands import command
from tests.integration.site import Site, run_site
from tests.integration.sync_scene import MULTI, SHARED, V1, V2, WEB, blobs, fill_partly, fill_primary, size
from tests.support.content import make_image
from tests.support.images import push


async def planned(site: Site, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = await command(site, "plan", *arguments, "--json")
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def of(document: dict[str, Any], replica: str) -> dict[str, Any]:
    """Return a replica's part of a plan, its repositories by name."""
    (found,) = [one for one in document["replicas"] if one["name"] == replica]
    return {**found, "repositories": {one.pop("repository"): one for one in found["repositories"]}}


async def test_a_plan_counts_references_blobs_and_bytes_and_only_reads(tmp_path: Path) -> None:
    everyone = ("primary", "eu", "us")
    async with run_site(tmp_path, running=False, notifies=False, proxied=everyone) as site:
        await fill_primary(site)
        await fill_partly(site.url("eu"))
        document = await planned(site)
        assert (document["complete"], document["repositories"], document["problems"]) == (True, 2, [])

        eu = of(document, "eu")["repositories"]
        assert eu["team/app"] == {
            "references": {"new": 1, "different": 1, "kept": 0, "extra": 1},
            "send": size(blob for blob in blobs(V2, MULTI).values() if blob != SHARED),
            "mount": size([]),
            "present": size([SHARED]),
        }
        assert eu["team/web"] == {
            "references": {"new": 1, "different": 0, "kept": 0, "extra": 0},
            "send": size(blob for blob in WEB.blobs() if blob != SHARED),
            "mount": size([SHARED]),
            "present": size([]),
        }
        us = of(document, "us")
        assert us["references"] == {"new": 4, "different": 0, "kept": 0, "extra": 0}
        assert us["send"] == size(blobs(V1, V2, MULTI, WEB).values())
        assert us["mount"] == size([SHARED])

        assert {one.method for line in site.lines.values() for one in line.requests} <= {"GET", "HEAD"}
        assert all(line.requests for line in site.lines.values())
        assert not (tmp_path / "state").exists(), "nothing is written here either"

        some = await planned(site, "team/w*", "--replica", "eu")
        assert [list(one["repositories"]) for one in (of(some, "eu"),)] == [["team/web"]]
        assert [one["name"] for one in some["replicas"]] == ["eu"]
        shown = await command(site, "plan")
        assert shown.exit_code == 0
        assert [line.split()[:5] for line in shown.stdout.splitlines()[1:3]] == [
            ["eu", "team/app", "1", "1", "0"],
            ["eu", "team/web", "1", "0", "0"],
        ]
        site.daemon.write_config(site.config | {"rules": [{"conflicts": "keep"}]})
        kept = of(await planned(site, "team/app", "--replica", "eu"), "eu")
        assert kept["references"] == {"new": 1, "different": 0, "kept": 1, "extra": 1}
        assert kept["send"] == size(blob for blob in MULTI.blobs() if blob != SHARED)


async def test_a_replica_that_is_down_is_told_and_the_others_are_planned(tmp_path: Path) -> None:
    image = make_image("one")
    async with run_site(tmp_path, running=False, notifies=False) as site:
        await push(site.primary.url, "team/app", "v1", image)
        await push(site.url("us"), "team/app", "v1", image)
        await site.replicas["eu"].stop()
        document = await planned(site, code=1)
        assert not document["complete"]
        (problem,) = document["problems"]
        assert (problem["replica"], problem["repository"], problem["reason"]) == ("eu", None, "network")
        assert not of(document, "eu")["complete"]
        assert of(document, "eu")["references"]["new"] == 0, "nothing is said of what nobody could look at"
        us = of(document, "us")
        assert (us["complete"], us["references"]["new"]) == (True, 0)
        shown = await command(site, "plan")
        assert (shown.exit_code, "us: nothing to do" in shown.stdout) == (1, True)
        assert "not known of eu: " in shown.stderr


MEANINGLESS = {
    ("team/none",): "team/none: the primary has no such repository",
    ("team/x*",): "the primary has no such repository that a rule sends anywhere",
    ("other/app",): "the primary has no such repository that a rule sends anywhere",
    ("team/{x}",): "a glob holds letters",
    ("--replica", "mars"): "'mars' is not a replica; there are eu",
}


async def test_an_argument_that_means_nothing_is_wrong_use(tmp_path: Path) -> None:
    rules = {"rules": [{"repositories": ["team/**"]}]}
    async with run_site(tmp_path, running=False, notifies=False, replicas=("eu",), sections=rules) as site:
        for repository in ("team/app", "other/app"):
            await push(site.primary.url, repository, "v1", make_image("one"))
        for arguments, says in MEANINGLESS.items():
            result = await command(site, "plan", *arguments)
            assert (result.exit_code, says in result.output) == (2, True), result.output
