"""Images over two repositories that share a layer, for tests of what is owed and what it takes."""

from collections.abc import Iterable

from replicator.model import Digest
from tests.integration.site import Site
from tests.support.content import Blob, Content
from tests.support.images import make_blob, make_image, make_index, push

SHARED = make_blob("shared", 400_000)
V1 = make_image("v1", [SHARED, 120_000])
V2 = make_image("v2", [SHARED, 150_000])
MULTI = make_index(
    [make_image("amd64", [SHARED, 50_000]), make_image("arm64", [80_000, 7_000], platform="linux/arm64")]
)
WEB = make_image("web", [SHARED, 90_000])
OTHER = make_image("other", [11_000])
TAGS: tuple[tuple[str, str, Content], ...] = (
    ("team/app", "v1", V1),
    ("team/app", "v2", V2),
    ("team/app", "multi", MULTI),
    ("team/web", "latest", WEB),
)


async def fill_primary(site: Site) -> None:
    """Push all of it to the primary."""
    for repository, tag, image in TAGS:
        await push(site.primary.url, repository, tag, image)


async def fill_partly(url: str) -> None:
    """Push to a replica: one tag that is equal, one that differs, one that the primary does not have."""
    for tag, image in (("v1", V1), ("v2", OTHER), ("old", OTHER)):
        await push(url, "team/app", tag, image)


def blobs(*images: Content) -> dict[Digest, Blob]:
    """Return all blobs of images, each once."""
    return {blob.digest: blob for image in images for blob in image.blobs()}


def size(these: Iterable[Blob]) -> dict[str, int]:
    """Return what `plan --json` says of so many blobs."""
    sizes = [one.size for one in these]
    return {"blobs": len(sizes), "bytes": sum(sizes)}
