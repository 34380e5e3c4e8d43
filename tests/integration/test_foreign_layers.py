"""Layers that their publisher serves elsewhere: named in the manifest, never fetched, never pushed (S1, B8).

A replica that does not allow them refuses these images, and holds back no other.
"""

import dataclasses
from pathlib import Path
from typing import Any

from replicator.clock import SystemClock
from replicator.model import Digest, parse_repository, parse_tag
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import open_registry
from replicator.replication.one_shot import Order, copy_reference
from replicator.replication.shared_reads import SharedReads
from replicator.settings.registries import PrimarySettings, ReplicaSettings
from replicator.store.outcome import Result
from tests.integration.events import post_push
from tests.integration.site import run_site
from tests.support.eventually import eventually
from tests.support.images import make_image, push, read_manifest
from tests.support.permissive import run_permissive

_REPOSITORY = parse_repository("team/windows")


async def test_s1_the_urls_of_a_foreign_layer_are_never_asked() -> None:
    """Whoever answers there with 401 would be given credentials by a client that follows (CVE-2020-15157)."""
    clock = SystemClock()
    async with run_permissive() as elsewhere, run_permissive() as primary, run_permissive() as replica:
        made = make_image("foreign", (1_000,), foreign=(2_000,))
        body = made.body.replace(b"https://layers.example.com", elsewhere.url.encode())
        image = dataclasses.replace(made, body=body, digest=Digest.of(body))
        assert elsewhere.url.encode() in image.body
        await push(primary.url, _REPOSITORY, "v1", image)
        metrics = Metrics(Scope(replicas=("eu",)), clock=clock)
        async with (
            open_registry(PrimarySettings(url=primary.url), clock=clock) as source,
            open_registry(ReplicaSettings(name="eu", url=replica.url), clock=clock) as target,
            SharedReads(clock=clock, on_read=metrics.source_bytes_read) as reads,
        ):
            tag = parse_tag("v1")
            report = await copy_reference(
                Order(repository=_REPOSITORY, reference=tag, published=tag),
                source=source,
                replica=target,
                reads=reads,
                metrics=metrics,
                clock=clock,
            )
        assert report.result is Result.COPIED
        assert await read_manifest(replica.url, _REPOSITORY, "v1") == (image.media_type, image.body)
        assert elsewhere.requests == []
        (foreign,) = made.foreign
        asked = [seen.path for registry in (primary, replica) for seen in registry.requests]
        assert not any(str(foreign.digest) in path for path in asked)


async def test_images_that_a_replica_answers_with_500_are_parked_and_hold_no_other_back(tmp_path: Path) -> None:
    """Distribution answers so to foreign layers that it does not allow; it is not down, so its lane works on."""
    sections = {"retry": {"first": "50ms", "max": "200ms", "park_after": "1s"}}
    refused = [make_image(f"refused {number}", (1_000,), foreign=(2_000,)) for number in range(4)]
    async with run_site(
        tmp_path, replicas=("eu",), kinds={"primary": "oci"}, notifies=False, sections=sections
    ) as site:

        def parked() -> list[dict[str, Any]]:
            return [line for line in site.daemon.log_lines() if line.get("event") == "reference_parked"]

        for number, image in enumerate(refused):
            await push(site.primary.url, "team/windows", f"v{number}", image)
            assert await post_push(site.hook_url, "team/windows", f"v{number}", image.digest) == 202
        await eventually(lambda: len(parked()) == len(refused), within=20.0, what="all are parked")
        assert {line["reason"] for line in parked()} == {"5xx"}
        assert all("served elsewhere" in str(line["error"]) for line in parked())
        events = [line.get("event") for line in site.daemon.log_lines()]
        assert "lane_opened" not in events
        good = make_image("good")
        await push(site.primary.url, "team/app", "v1", good)
        assert await post_push(site.hook_url, "team/app", "v1", good.digest) == 202
        await site.arrived("team/app", "v1", good.digest)
