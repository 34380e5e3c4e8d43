"""`verify` finds what is wrong on a replica, and the daemon mends it; nothing is written by the command itself."""

import json
from pathlib import Path
from typing import Any

import pytest

from replicator.audit import auditor
from tests.integration.commands import command
from tests.integration.site import Site, run_site
from tests.support.content import Content, make_image, make_index
from tests.support.eventually import eventually
from tests.support.images import fetch_closure, push, tag_digest
from tests.support.registries import Kind, Registry

APP = "team/app"
IMAGES = {name: make_image(f"verify {name}", [3_000, 40_000]) for name in ("same", "gone", "moved", "holed", "child")}
OTHER = make_image("verify other")
INDEX = make_index([IMAGES["child"], make_image("verify arm", platform="linux/arm64")])
CONTENT: dict[str, Content] = {**IMAGES, "child": INDEX}
TAGS = "docker/registry/v2/repositories/team/app/_manifests/tags"


@pytest.fixture(autouse=True)
def _calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is pushed while these audits run."""
    monkeypatch.setattr(auditor, "CALM", 0.1)


async def verified(site: Site, *arguments: str, code: int = 1) -> dict[str, Any]:
    """Return what `verify` prints; it must end with `code`."""
    result = await command(site, "verify", *arguments, "--json")
    assert result.exit_code == code, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def found(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(one["replica"], one["ref"], one["found"]) for one in document["findings"]}


async def fill(site: Site) -> None:
    for registry in (site.primary, *site.replicas.values()):
        for tag, content in CONTENT.items():
            await push(registry.url, APP, tag, content)


async def damage(replica: Registry) -> None:
    """Have a Distribution lose a tag, a layer and a child of an index, and have somebody else push a tag."""
    for path in (replica.root / TAGS / "gone").rglob("link"):
        path.unlink()
    await push(replica.url, APP, "moved", OTHER)
    replica.blob_file(IMAGES["holed"].layers[1].digest).unlink()
    replica.blob_file(IMAGES["child"].digest).unlink()


async def test_what_differs_is_found_without_a_write_and_mended_by_the_daemon(tmp_path: Path) -> None:
    async with run_site(tmp_path, running=False, notifies=False, proxied=["primary", "eu", "us"]) as site:
        await fill(site)
        assert (await verified(site, code=0))["findings"] == []
        await damage(site.replicas["eu"])
        document = await verified(site)
        assert found(document) == {
            ("eu", f"{APP}:gone", "missing"),
            ("eu", f"{APP}:moved", "different"),
            ("eu", f"{APP}:holed", "incomplete"),
            ("eu", f"{APP}:child", "incomplete"),
        }
        assert {one["result"] for one in document["findings"]} == {"accepted"}
        lacks = {one["ref"].rpartition(":")[2]: one["lacks"] for one in document["findings"]}
        layer, child = IMAGES["holed"].layers[1].digest, IMAGES["child"].digest
        assert lacks["holed"] == [{"digest": str(layer), "part": "blob", "fault": "absent"}]
        assert lacks["child"] == [{"digest": str(child), "part": "manifest", "fault": "absent"}]
        counted = {one["replica"]: (one["compared"], one["equal"]) for one in document["replicas"]}
        assert counted == {"eu": (5, 1), "us": (5, 5)}
        requests = [one for line in site.lines.values() for one in line.requests]
        assert {one.method for one in requests} <= {"GET", "HEAD"}, "an audit writes nothing"
        await site.daemon.start()
        for tag, content in CONTENT.items():
            await site.arrived(APP, tag, content.digest, within=20)
        await eventually(lambda: owed(site) == 0, within=20, what="all is settled")
        assert (await verified(site, APP, code=0))["equal"]
        for tag, content in CONTENT.items():
            closure = await fetch_closure(site.url("eu"), APP, tag)
            assert closure.digests == (await fetch_closure(site.primary.url, APP, content.digest)).digests


def owed(site: Site) -> float:
    return site.daemon.metric("replicator_replica_pending_updates")


async def test_a_layer_of_which_the_daemon_believes_that_it_is_there_is_brought_again(tmp_path: Path) -> None:
    """On a registry that looks for nothing, too: it would take the manifest without the layer."""
    image = IMAGES["holed"]
    kinds: dict[str, Kind] = {"us": "oci"}
    async with run_site(tmp_path, kinds=kinds) as site:
        await push(site.primary.url, APP, "v1", image)
        await site.arrived(APP, "v1", image.digest, within=20)
        for registry in site.replicas.values():
            registry.blob_file(image.layers[1].digest).unlink()
        document = await verified(site, APP, "--replica", "us")
        assert found(document) == {("us", f"{APP}:v1", "incomplete")}
        assert found(await verified(site)) >= {("eu", f"{APP}:v1", "incomplete")}
        files = [registry.blob_file(image.layers[1].digest) for registry in site.replicas.values()]
        await eventually(lambda: all(one.exists() for one in files), within=20, what="the layer is there again")
        await eventually(lambda: owed(site) == 0, within=20, what="all is settled")
        await verified(site, code=0)


async def test_what_cannot_be_read_is_told_and_nothing_is_owed_for_it(tmp_path: Path) -> None:
    async with run_site(tmp_path, running=False, notifies=False) as site:
        await fill(site)
        await site.replicas["us"].stop()
        document = await verified(site)
        assert {one[0] for one in found(document)} == {"us"}
        assert {(one["found"], one["result"]) for one in document["findings"]} == {("unread", None)}
        assert not (site.daemon.config.parent / "state").exists()
        result = await command(site, "verify", "team/none", "--replica", "eu")
        assert result.exit_code == 1
        assert result.stdout.splitlines()[1].split()[:4] == ["primary", "team/none", "unread", "-"]
        assert (await command(site, "verify", "--replica", "none")).exit_code == 2
        await site.primary.stop()
        document = await verified(site, "--replica", "eu")
        assert (document["equal"], document["findings"]) == (False, [])
        assert document["problem"].startswith("primary: ")
        document = await verified(site, APP, "--replica", "eu")
        assert {(one["replica"], one["found"]) for one in document["findings"]} == {("primary", "unread")}
        assert await tag_digest(site.url("eu"), APP, "same") == IMAGES["same"].digest


async def test_extra_tags_are_told_of_where_deletes_propagate(tmp_path: Path) -> None:
    rules = [{"replicas": ["eu"], "tags": ["v*"], "deletes": "propagate"}, {"replicas": ["us"]}]
    async with run_site(tmp_path, running=False, notifies=False, sections={"rules": rules}) as site:
        for registry in (site.primary, *site.replicas.values()):
            await push(registry.url, APP, "v1", OTHER)
        for registry in site.replicas.values():
            await push(registry.url, APP, "v2", OTHER)
            await push(registry.url, APP, "their-own", OTHER)
        document = await verified(site, code=0)
        assert found(document) == {("eu", f"{APP}:v2", "extra")}
        assert (document["equal"], document["findings"][0]["result"]) == (True, None)


async def test_damage_is_found_and_mended_or_told_of_where_a_registry_keeps_it(tmp_path: Path) -> None:
    """Distribution keeps the file that it has, whatever is in it: the operator removes it, and then it is sent."""
    flipped, cut, child = IMAGES["same"].layers[1].digest, IMAGES["holed"].layers[1].digest, IMAGES["child"].digest
    contents: dict[str, Content] = {"flipped": IMAGES["same"], "cut": IMAGES["holed"], "child": INDEX}
    kinds: dict[str, Kind] = {"us": "oci"}
    async with run_site(tmp_path, kinds=kinds, notifies=False) as site:
        for registry in (site.primary, *site.replicas.values()):
            for tag, content in contents.items():
                await push(registry.url, APP, tag, content)
        eu = {digest: site.replicas["eu"].blob_file(digest) for digest in (flipped, cut, child)}
        us = site.replicas["us"].blob_file(flipped)
        right = {digest: file.read_bytes() for digest, file in eu.items()}
        for file in (eu[flipped], us):
            file.write_bytes(bytes([right[flipped][0] ^ 1]) + right[flipped][1:])
        eu[cut].write_bytes(right[cut][:-1])
        eu[child].write_bytes(right[child].replace(b" ", b"\t", 1))
        document = await verified(site, "--replica", "eu")
        assert found(document) == {("eu", f"{APP}:cut", "incomplete")}, "without --deep only sizes are seen"
        assert document["findings"][0]["lacks"] == [{"digest": str(cut), "part": "blob", "fault": "size"}]
        document = await verified(site, "--deep", "--replica", "eu")
        lacks = {one["ref"].rpartition(":")[2]: one["lacks"] for one in document["findings"]}
        assert lacks["flipped"] == [{"digest": str(flipped), "part": "blob", "fault": "bytes"}]
        assert lacks["child"] == [{"digest": str(child), "part": "manifest", "fault": "bytes"}]
        assert document["bytes_read"] >= len(right[flipped])
        await eventually(lambda: parked(site) == 3, within=20, what="they are parked, since sending did not help")
        rows = json.loads((await command(site, "status", "--parked", "--json")).stdout)["rows"]
        assert {(row["reason"], "remove its file" in row["message"]) for row in rows} == {("digest_mismatch", True)}
        for file in eu.values():
            file.unlink()
        assert (await command(site, "retry")).exit_code == 0
        await verified(site, "--deep", "--replica", "us")
        await eventually(lambda: owed(site) == 0, within=20, what="all is mended")
        assert {digest: file.read_bytes() for digest, file in eu.items()} == right
        assert us.read_bytes() == right[flipped]
        assert (await verified(site, "--deep", code=0))["equal"]


def parked(site: Site) -> float:
    return site.daemon.metric("replicator_replica_parked_updates", replica="eu")
