"""Distribution's push events, made by hand: for pushes that the registry announces too early, twice or never."""

import datetime as dt
import uuid
from typing import Any

import aiohttp

from replicator.model import Digest, MediaType
from tests.integration.site import HOOK_SECRET

_ENVELOPE = "application/vnd.docker.distribution.events.v1+json"


def push_event(repository: str, tag: str | None, digest: Digest) -> dict[str, Any]:
    """Return one event as Distribution writes it for a push of a manifest."""
    target: dict[str, Any] = {
        "mediaType": MediaType.OCI_MANIFEST.value,
        "size": 1000,
        "length": 1000,
        "digest": str(digest),
        "repository": repository,
        "url": f"http://primary.example/v2/{repository}/manifests/{digest}",
    }
    if tag is not None:
        target["tag"] = tag
    return {
        "id": str(uuid.uuid4()),
        "timestamp": dt.datetime.now(dt.UTC).isoformat().replace("+00:00", "Z"),
        "action": "push",
        "target": target,
        "request": {"id": str(uuid.uuid4()), "host": "primary.example", "method": "PUT"},
        "actor": {},
        "source": {"addr": "primary:5000", "instanceID": str(uuid.uuid4())},
    }


async def post_push(
    hook_url: str, repository: str, tag: str | None, digest: Digest, *, session: aiohttp.ClientSession | None = None
) -> int:
    """Post one event with the site's secret and return the HTTP status. Raises aiohttp.ClientError."""
    document = {"events": [push_event(repository, tag, digest)]}
    headers = {"Authorization": f"Bearer {HOOK_SECRET}", "Content-Type": _ENVELOPE}
    if session is not None:
        async with session.post(hook_url, json=document, headers=headers) as answer:
            return answer.status
    async with (
        aiohttp.ClientSession() as own,
        own.post(hook_url, json=document, headers=headers) as answer,
    ):
        return answer.status
