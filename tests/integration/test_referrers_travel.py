"""What belongs to an image travels with it, between registries with the referrers API and registries without."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from replicator import referrers
from replicator.model import Digest, RawManifest
from tests.integration.commands import command, copied
from tests.integration.events import post_push
from tests.integration.site import Site, arrival, run_site
from tests.support.eventually import eventually
from tests.support.images import (
    Content,
    Image,
    blob_of,
    fetch_closure,
    make_image,
    make_index,
    push,
    read_manifest,
    tag_digest,
)
from tests.support.registries import Kind

REPO = "team/app"
EVERYTHING = {"rules": [{"referrers": True}]}
PAIRS: list[tuple[Kind, Kind]] = [
    ("distribution2", "distribution2"),
    ("distribution2", "oci"),
    ("oci", "distribution3"),
    ("oci", "oci"),
]


def about(subject: Content, seed: str) -> Image:
    entry = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
    empty = blob_of(b"{}", "application/vnd.oci.empty.v1+json")
    return make_image(seed, (500, empty), extra={"subject": entry, "artifactType": f"application/x.{seed}"})


async def attach(url: str, subject: Content, *found: Image) -> None:
    """Push referrers as a client does: where the registry has no API the client keeps the list."""
    for one in found:
        await push(url, REPO, None, one)
    if await by_api(url, subject.digest) is not None:
        return
    tag = referrers.fallback_tag(subject.digest)
    there = await read_manifest(url, REPO, tag)
    held = None if there is None else RawManifest(there[0], Digest.of(there[1]), there[1])
    entries = [referrers.entry_of(RawManifest(one.media_type, one.digest, one.body)) for one in found]
    merged = referrers.merge(held, entries)
    assert merged is not None
    async with (
        aiohttp.ClientSession() as session,
        session.put(
            f"{url}/v2/{REPO}/manifests/{tag}", data=merged.body, headers={"Content-Type": merged.media_type}
        ) as answer,
    ):
        assert answer.status == 201, await answer.text()


async def by_api(url: str, subject: Digest) -> Mapping[str, Any] | None:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/v2/{REPO}/referrers/{subject}") as answer:
        return None if answer.status != 200 else json.loads(await answer.read())


async def listed(url: str, subject: Content) -> set[str]:
    """Return what a registry lists, as any client would find it."""
    found = await by_api(url, subject.digest)
    if found is None:
        there = await read_manifest(url, REPO, referrers.fallback_tag(subject.digest))
        found = {} if there is None else json.loads(there[1])
    return {entry["digest"] for entry in found.get("manifests") or ()}


async def arrives(site: Site, subject: Content, *found: Image) -> None:
    """Wait until the replica lists and holds them."""
    url, wanted = site.url("eu"), {str(one.digest) for one in found}

    async def there() -> bool:
        return wanted <= await listed(url, subject)

    await eventually(there, within=15.0, what=f"the replica lists what refers to {subject.digest}")
    for one in found:
        await fetch_closure(url, REPO, one.digest, deep=True)


@pytest.mark.parametrize(("primary", "replica"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_signatures_travel_whenever_they_are_pushed(tmp_path: Path, primary: Kind, replica: Kind) -> None:
    child = make_image("arm", platform="linux/arm64")
    app = make_index([make_image("amd"), child])
    before, later, of_child, own = (
        about(app, "signature"),
        about(app, "sbom"),
        about(child, "child.sbom"),
        about(app, "replicas.own"),
    )
    on_before = about(before, "countersignature")
    async with run_site(
        tmp_path,
        replicas=("eu",),
        kinds={"primary": primary, "eu": replica},
        notifies=False,
        sections=EVERYTHING,
    ) as site:
        source, target = site.primary.url, site.url("eu")
        await push(target, REPO, None, app)
        await attach(target, app, own)
        await push(source, REPO, "v1", app)
        await attach(source, app, before)
        await attach(source, before, on_before)
        await attach(source, child, of_child)
        assert await post_push(site.hook_url, REPO, "v1", app.digest) == 202
        await site.arrived(REPO, "v1", app.digest)
        # All of it was there before the tag was.
        assert await listed(target, app) == {str(own.digest), str(before.digest)}
        await arrives(site, app, own, before)
        await arrives(site, before, on_before)
        await arrives(site, child, of_child)
        await attach(source, app, later)
        assert await post_push(site.hook_url, REPO, None, later.digest) == 202
        await arrives(site, app, own, before, later)
        assert await listed(target, app) == {str(one.digest) for one in (own, before, later)}


async def test_a_referrer_that_nobody_told_of_is_found_by_looking_at_the_replica(tmp_path: Path) -> None:
    """No tag changes with it where there is the API, so that no sweep sees it."""
    child = make_image("arm", platform="linux/arm64")
    app = make_index([make_image("amd"), child])
    told, untold = about(app, "signature"), about(child, "sbom")
    kinds: dict[str, Kind] = {"primary": "oci", "eu": "oci"}
    async with run_site(tmp_path, replicas=("eu",), kinds=kinds, notifies=False, sections=EVERYTHING) as site:
        await push(site.primary.url, REPO, "v1", app)
        await attach(site.primary.url, app, told)
        assert await post_push(site.hook_url, REPO, "v1", app.digest) == 202
        await site.arrived(REPO, "v1", app.digest)
        equal = await command(site, "verify", REPO, "--json")
        assert equal.exit_code == 0, equal.output
        await attach(site.primary.url, child, untold)
        found = await command(site, "verify", REPO, "--json")
        assert found.exit_code == 1, found.output
        (finding,) = json.loads(found.stdout)["findings"]
        assert finding["lacks"] == [{"digest": str(untold.digest), "part": "referrer", "fault": "absent"}]
        await arrives(site, child, untold)


@pytest.mark.parametrize(("primary", "replica"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
async def test_the_command_copy_brings_what_belongs_to_an_image_where_its_rule_says_so(
    tmp_path: Path, primary: Kind, replica: Kind
) -> None:
    """Also to an image that is there already; and the replica's own stay listed."""
    app = make_index([make_image("amd"), make_image("arm", platform="linux/arm64")])
    signature, sbom, own = about(app, "signature"), about(app, "sbom"), about(app, "replicas.own")
    async with run_site(
        tmp_path,
        replicas=("eu",),
        kinds={"primary": primary, "eu": replica},
        notifies=False,
        running=False,
        sections=EVERYTHING,
    ) as site:
        source, target = site.primary.url, site.url("eu")
        await push(target, REPO, None, app)
        await attach(target, app, own)
        await push(source, REPO, "v1", app)
        await attach(source, app, signature)
        assert await copied(site, f"{REPO}:v1") == ["copied"]
        assert await tag_digest(target, REPO, "v1") == app.digest
        assert await listed(target, app) == {str(one.digest) for one in (own, signature)}
        await attach(source, app, sbom)
        assert await copied(site, f"{REPO}:v1") == ["copied"]
        assert await listed(target, app) == {str(one.digest) for one in (own, signature, sbom)}
        await fetch_closure(target, REPO, sbom.digest, deep=True)
        assert await copied(site, f"{REPO}:v1") == ["already_present"]
        if await tag_digest(source, REPO, referrers.fallback_tag(app.digest)) is not None:
            later = about(app, "later")
            await attach(source, app, later)
            assert await copied(site, f"{REPO}:{referrers.fallback_tag(app.digest)}", "eu") == ["copied"]
            assert await listed(target, app) == {str(one.digest) for one in (own, signature, sbom, later)}


@pytest.mark.parametrize("kind", ["distribution2", "oci"])
async def test_plan_and_sync_count_what_belongs_to_an_image(tmp_path: Path, kind: Kind) -> None:
    kinds: dict[str, Kind] = {"primary": kind, "eu": kind}
    image = make_image("image", (30_000,))
    signature, later = about(image, "signature"), about(image, "later")
    async with run_site(
        tmp_path, replicas=("eu",), kinds=kinds, running=False, notifies=False, sections=EVERYTHING, proxied=("eu",)
    ) as site:
        await push(site.primary.url, REPO, "v1", image)
        await attach(site.primary.url, image, signature)

        async def run(name: str) -> dict[str, Any]:
            result = await command(site, name, "--json")
            assert result.exit_code == 0, result.output
            (found,) = json.loads(result.stdout)["replicas"]
            return dict(found)

        planned, done = await run("plan"), await run("sync")
        sizes = {blob.digest: blob.size for one in (image, signature) for blob in one.blobs()}
        assert planned["send"] == {"blobs": len(sizes), "bytes": sum(sizes.values())}
        assert done["bytes_sent"] == site.lines["eu"].sent("upload") == sum(sizes.values())
        assert await listed(site.url("eu"), image) == {str(signature.digest)}
        assert (await run("plan"))["references"] == {"new": 0, "different": 0, "kept": 0, "extra": 0}
        if kind == "distribution2":
            # There the list is a tag, which is compared like any other.
            await attach(site.primary.url, image, later)
            planned, done = await run("plan"), await run("sync")
            assert planned["references"] == {"new": 0, "different": 1, "kept": 0, "extra": 0}
            assert planned["send"]["bytes"] == done["bytes_sent"] > 0
            assert await listed(site.url("eu"), image) == {str(signature.digest), str(later.digest)}
            assert (await run("plan"))["references"]["different"] == 0


async def test_the_command_copy_says_what_it_could_not_bring(tmp_path: Path) -> None:
    """One that is no manifest as it should be is told, by a code of 1 too; the image goes on without it."""
    app = make_image("amd")
    entry = {"mediaType": app.media_type, "digest": str(app.digest), "size": len(app.body)}
    odd = make_image("odd", (500,), docker=True, extra={"schemaVersion": 2, "subject": entry, "layers": "none"})
    async with run_site(
        tmp_path, replicas=("eu",), kinds={"primary": "oci"}, notifies=False, running=False, sections=EVERYTHING
    ) as site:
        await push(site.primary.url, REPO, "v1", app)
        await push(site.primary.url, REPO, None, odd)
        result = await command(site, "copy", f"{REPO}:v1", "--json")
        assert result.exit_code == 1, result.output
        (told,) = json.loads(result.stdout)["copies"]
        assert told["result"] == "copied"
        assert [problem.partition(": ")[0] for problem in told["set_aside"]] == [str(odd.digest)]
        assert await tag_digest(site.url("eu"), REPO, "v1") == app.digest


async def test_the_primarys_own_events_are_enough(tmp_path: Path) -> None:
    """Distribution tells of each referrer by its digest, and of the list by its tag."""
    app = make_image("app")
    signature, tag = about(app, "signature"), referrers.cosign_tags(app.digest)[0]
    async with run_site(tmp_path, replicas=("eu",), sections=EVERYTHING) as site:
        await push(site.primary.url, REPO, "v1", app)
        await site.arrived(REPO, "v1", app.digest)
        await attach(site.primary.url, app, signature)
        await arrives(site, app, signature)
        for seed in ("one", "two"):
            signed = make_image(f"cosign {seed}")
            await push(site.primary.url, REPO, tag, signed)
            await arrival(site.url("eu"), REPO, tag, signed.digest, within=15.0)


async def test_a_referrer_that_a_replica_refuses_holds_nothing(tmp_path: Path) -> None:
    """Distribution 2.8 answers 500 to a manifest whose layer has a URL that it was not told to allow."""
    app, good = make_image("app"), about(make_image("app"), "good")
    entry = {"mediaType": app.media_type, "digest": str(app.digest), "size": len(app.body)}
    bad = make_image("refused", (10,), foreign=(20,), extra={"subject": entry})
    async with run_site(
        tmp_path, replicas=("eu",), kinds={"primary": "oci"}, notifies=False, sections=EVERYTHING
    ) as site:
        await push(site.primary.url, REPO, "v1", app)
        await attach(site.primary.url, app, good, bad)
        assert await post_push(site.hook_url, REPO, "v1", app.digest) == 202
        await site.arrived(REPO, "v1", app.digest)
        assert await listed(site.url("eu"), app) == {str(good.digest)}
        assert await tag_digest(site.url("eu"), REPO, bad.digest) is None

        (aside,) = [line for line in site.daemon.log_lines() if line.get("event") == "referrer_set_aside"]
        assert (aside["referrer"], aside["reference"]) == (str(bad.digest), "v1")
        await eventually(
            lambda: site.daemon.metric("replicator_replica_pending_updates", replica="eu") == 1,
            what="only the refused one is owed, by itself",
        )


ODD: dict[str, dict[str, Any]] = {
    "helm chart": {"config": "application/vnd.cncf.helm.config.v1+json", "layer": "application/vnd.cncf.helm.chart"},
    "wasm": {"config": "application/vnd.wasm.config.v0+json", "layer": "application/wasm"},
    "model": {"config": "application/vnd.cncf.model.config.v1+json", "layer": "application/vnd.cncf.model.weight.v1"},
}


@pytest.mark.parametrize("kind", [*ODD, "artifact"])
async def test_artifacts_of_any_type_are_copied_byte_for_byte(tmp_path: Path, kind: str) -> None:
    types = ODD.get(kind)
    config = (
        blob_of(b"{}", "application/vnd.oci.empty.v1+json")
        if types is None
        else blob_of(f'{{"name": "{kind}"}}'.encode(), types["config"])
    )
    layer = blob_of(kind.encode() * 100, "text/plain" if types is None else types["layer"])
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        **({"artifactType": "application/vnd.example"} if types is None else {}),
        "config": _descriptor(config) | ({"data": "e30="} if types is None else {}),
        "layers": [_descriptor(layer)],
        "annotations": {"org.example": kind},
    }
    body = json.dumps(document).encode()
    content = Image(document["mediaType"], Digest.of(body), body, config, (layer,))
    async with run_site(tmp_path, replicas=("eu",)) as site:
        await push(site.primary.url, REPO, "v1", content)
        await site.arrived(REPO, "v1", content.digest)
        assert await read_manifest(site.url("eu"), REPO, "v1") == (content.media_type, body)
        await fetch_closure(site.url("eu"), REPO, "v1", deep=True)


def _descriptor(blob: Any) -> dict[str, Any]:
    return {"mediaType": blob.media_type, "digest": str(blob.digest), "size": blob.size}
