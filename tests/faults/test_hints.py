"""Webhooks that come twice, in the wrong order, late or broken, and references that change while they are copied.

Numbers are those of docs/faults.md.
"""

import asyncio
import io
from http import HTTPStatus
from pathlib import Path

import aiohttp

from tests.integration.events import post_push, push_event
from tests.integration.site import HOOK_SECRET, Site, run_site
from tests.support.eventually import eventually
from tests.support.faults import Throttle
from tests.support.images import fetch_closure, make_image, push, tag_digest

_TEAM = "team/app"
_ENVELOPE = "application/vnd.docker.distribution.events.v1+json"


def _owed(site: Site) -> float:
    return site.daemon.metric("replicator_replica_pending_updates")


async def test_f17_a_hundred_duplicates_are_one_copy(tmp_path: Path) -> None:
    image = make_image("once", (200_000,))
    async with run_site(tmp_path, replicas=("eu",), proxied=("eu",), notifies=False) as site:
        await push(site.primary.url, _TEAM, "v1", image)
        posts = [post_push(site.hook_url, _TEAM, "v1", image.digest) for _ in range(100)]
        assert set(await asyncio.gather(*posts)) <= {200, 202}
        await site.arrived(_TEAM, "v1", image.digest)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")
        line = site.lines["eu"]
        assert line.sent("upload") == sum(blob.size for blob in image.blobs())
        assert len([one for one in line.requests if one.method == "PUT" and "/manifests/v1" in one.target]) == 1


async def test_f18_reordered_webhooks_end_at_what_the_primary_holds(tmp_path: Path) -> None:
    images = [make_image(f"order {number}") for number in range(4)]
    async with run_site(tmp_path, replicas=("eu",), notifies=False) as site:
        for image in images:
            await push(site.primary.url, _TEAM, "v1", image)
        for number in (3, 1, 2, 0):
            assert await post_push(site.hook_url, _TEAM, "v1", images[number].digest) in {200, 202}
        await site.arrived(_TEAM, "v1", images[-1].digest)
        await eventually(lambda: _owed(site) == 0, what="nothing is owed")
        assert await tag_digest(site.url("eu"), _TEAM, "v1") == images[-1].digest


async def test_f20_what_is_malformed_strange_too_large_or_a_strangers_is_answered_as_the_sender_needs_it(
    tmp_path: Path,
) -> None:
    """Distribution repeats for ever what is refused, ahead of all that comes later."""
    right = {"Authorization": f"Bearer {HOOK_SECRET}", "Content-Type": _ENVELOPE}
    image = make_image("image")
    strange = push_event(_TEAM, "v1", image.digest)
    strange["target"]["mediaType"] = "application/vnd.example.unheard.of+json"
    async with run_site(tmp_path, replicas=("eu",), notifies=False) as site, aiohttp.ClientSession() as session:

        async def posted(body: bytes, headers: dict[str, str]) -> int:
            async with session.post(site.hook_url, data=io.BytesIO(body), headers=headers) as answer:
                return answer.status

        def counted(result: str) -> float:
            return site.daemon.metric("replicator_webhook_events_total", endpoint="primary", result=result)

        assert await posted(b'{"events": [', right) == HTTPStatus.OK
        assert counted("unparsable") == 1
        async with session.post(site.hook_url, json={"events": [strange]}, headers=right) as answer:
            assert answer.status in {HTTPStatus.OK, HTTPStatus.ACCEPTED}
        assert await posted(b" " * (10 << 20), right) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert counted("too_large") == 1
        assert await posted(b"{}", right | {"Authorization": "Bearer wrong"}) == HTTPStatus.UNAUTHORIZED
        assert counted("unauthorized") == 1


async def test_f23_what_is_deleted_at_the_primary_during_its_copy_leaves_no_partial_tag(tmp_path: Path) -> None:
    image, other = make_image("deleted", (3_000_000,)), make_image("other")
    async with run_site(tmp_path, replicas=("eu",), proxied=("primary",)) as site:
        line = site.lines["primary"]
        line.add(Throttle(path=str(image.layers[0].digest), down=300_000.0, times=None))
        await push(site.primary.url, _TEAM, "v1", image)
        await eventually(lambda: line.received("blob") > 100_000, what="the layer is on its way")
        async with aiohttp.ClientSession() as session:
            for path in (f"manifests/{image.digest}", *(f"blobs/{blob.digest}" for blob in image.blobs())):
                async with session.delete(f"{site.primary.url}/v2/{_TEAM}/{path}") as answer:
                    assert answer.status == HTTPStatus.ACCEPTED
        await line.drop_connections()
        line.clear()
        await eventually(lambda: _owed(site) == 0, within=30, what="nothing is owed")
        assert await tag_digest(site.url("eu"), _TEAM, "v1") is None
        await push(site.primary.url, _TEAM, "v2", other)
        await site.arrived(_TEAM, "v2", other.digest)
        await fetch_closure(site.url("eu"), _TEAM, "v2", deep=True)
