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
_FAULTS: dict[str, Fault] = {
    "first byte": CorruptResponse(method="GET", path=_blob(_IMAGE), at=0, times=None),
    "last byte": CorruptResponse(method="GET", path=_blob(_IMAGE), at=899_999, times=None),
    "short": Resize(method="GET", path=_blob(_IMAGE), by=-1, times=None),
    "long": Resize(method="GET", path=_blob(_IMAGE), by=1, times=None),
    "length too small": LieLength(method="GET", path=_blob(_IMAGE), by=-1000, times=None),
    "length too great": LieLength(method="GET", path=_blob(_IMAGE), by=1000, times=None),
    "always cut at the same byte": CutResponse(method="GET", path=_blob(_IMAGE), after=0, times=None),
    "manifest byte": CorruptResponse(method="GET", path="/manifests/bad", at=5, times=None),
    "lying digest header": SetHeader(
        method="GET", path="/manifests/bad", name="Docker-Content-Digest", value=_OTHER, times=None
    ),
}


@pytest.mark.parametrize("wrong", _FAULTS)
async def test_wrong_bytes_are_not_published(tmp_path: Path, wrong: str) -> None:
    good = make_image("good")
    async with run_site(tmp_path, proxied=("primary",), notifies=False) as site:
        line = site.lines["primary"]
        installed = line.add(_FAULTS[wrong])
        await push(site.primary.url, "team/app", "bad", _IMAGE)
        assert await post_push(site.hook_url, "team/app", "bad", _IMAGE.digest) == 202

        def failures() -> list[dict[str, object]]:
            lines = site.daemon.log_lines()
            return [one for one in lines if one.get("event") in {"reference_failed", "reference_parked"}]

        await eventually(lambda: len(failures()) >= 2, what="both lanes failed")
        assert installed.acted > 0
        named = str(_IMAGE.layers[0].digest) if "blobs" in _FAULTS[wrong].path else "manifest"
        for line_of_log in failures():
            assert named in str(line_of_log["error"])
            assert line_of_log["reference"] == "bad"
        await push(site.primary.url, "team/app", "good", good)
        assert await post_push(site.hook_url, "team/app", "good", good.digest) == 202
        await site.arrived("team/app", "good", good.digest)
        for replica in site.replicas.values():
            assert await tag_digest(replica.url, "team/app", "bad") is None
