"""Wrong bytes from the source are never published, are named in the error, and stop nobody else (G3)."""

from pathlib import Path

import pytest

from tests.integration.events import post_push
from tests.integration.site import run_site
from tests.support.eventually import eventually
from tests.support.faults import CorruptResponse, CutResponse, Fault, LieLength, Resize, SetHeader
from tests.support.images import Image, make_image, push, tag_digest

_OTHER = "sha256:" + "0" * 64


def _blob(image: Image) -> str:
    return f"/blobs/{image.layers[0].digest}"


_IMAGE = make_image("bad", (900_000, 1_000))
_TRUNCATED: dict[str, Fault] = {
    "short": Resize(method="GET", path=_blob(_IMAGE), by=-1, times=None),
    "always cut at the same byte": CutResponse(method="GET", path=_blob(_IMAGE), after=0, times=None),
}
_CORRUPT: dict[str, Fault] = {
    "first byte": CorruptResponse(method="GET", path=_blob(_IMAGE), at=0, times=None),
    "last byte": CorruptResponse(method="GET", path=_blob(_IMAGE), at=899_999, times=None),
}
_LYING: dict[str, Fault] = {
    "long": Resize(method="GET", path=_blob(_IMAGE), by=1, times=None),
    "length too small": LieLength(method="GET", path=_blob(_IMAGE), by=-1000, times=None),
    "length too great": LieLength(method="GET", path=_blob(_IMAGE), by=1000, times=None),
}
_MANIFEST: dict[str, Fault] = {
    "manifest byte": CorruptResponse(method="GET", path="/manifests/bad", at=5, times=None),
    "lying digest header": SetHeader(
        method="GET", path="/manifests/bad", name="Docker-Content-Digest", value=_OTHER, times=None
    ),
}


@pytest.mark.parametrize("wrong", _TRUNCATED)
async def test_f31_a_body_that_ends_early_is_not_published(tmp_path: Path, wrong: str) -> None:
    await _is_not_published(tmp_path, _TRUNCATED[wrong])


@pytest.mark.parametrize("wrong", _CORRUPT)
async def test_f32_a_corrupt_byte_of_a_blob_is_not_published(tmp_path: Path, wrong: str) -> None:
    await _is_not_published(tmp_path, _CORRUPT[wrong])


@pytest.mark.parametrize("wrong", _LYING)
async def test_f33_a_length_that_lies_publishes_nothing(tmp_path: Path, wrong: str) -> None:
    await _is_not_published(tmp_path, _LYING[wrong])


@pytest.mark.parametrize("wrong", _MANIFEST)
async def test_f34_a_manifest_that_is_not_its_digest_is_not_published(tmp_path: Path, wrong: str) -> None:
    await _is_not_published(tmp_path, _MANIFEST[wrong])


async def _is_not_published(tmp_path: Path, wrong: Fault) -> None:
    good = make_image("good")
    async with run_site(tmp_path, proxied=("primary",), notifies=False) as site:
        line = site.lines["primary"]
        installed = line.add(wrong)
        await push(site.primary.url, "team/app", "bad", _IMAGE)
        assert await post_push(site.hook_url, "team/app", "bad", _IMAGE.digest) == 202

        def failures() -> list[dict[str, object]]:
            lines = site.daemon.log_lines()
            return [one for one in lines if one.get("event") in {"reference_failed", "reference_parked"}]

        await eventually(lambda: len(failures()) >= 2, what="both lanes failed")
        assert installed.acted > 0
        named = str(_IMAGE.layers[0].digest) if "blobs" in wrong.path else "manifest"
        for line_of_log in failures():
            assert named in str(line_of_log["error"])
            assert line_of_log["reference"] == "bad"
        await push(site.primary.url, "team/app", "good", good)
        assert await post_push(site.hook_url, "team/app", "good", good.digest) == 202
        await site.arrived("team/app", "good", good.digest)
        for replica in site.replicas.values():
            assert await tag_digest(replica.url, "team/app", "bad") is None
