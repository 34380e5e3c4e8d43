"""Platform subsets: which children of an index are kept, and that the index stays what it was."""

import json
from typing import Any

import pytest

from replicator import manifest as manifests
from replicator.errors import ContentError, Reason
from replicator.manifest import Closure, Manifest
from replicator.model import Digest, MediaType, Platform, RawManifest
from replicator.platforms import check_chosen, choose, matches, shown_platform

AMD = Platform("linux", "amd64")


def platform(text: str) -> Platform:
    parts = text.split("/")
    return Platform(*parts)


@pytest.mark.parametrize(
    ("there", "wanted", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/arm64", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64/8", "linux/arm64/v8", True),
        ("linux/arm64/v9", "linux/arm64", True),
        ("linux/arm64/v9", "linux/arm64/v8", False),
        ("linux/arm/v6", "linux/arm", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/amd64/v3", "linux/amd64", True),
        ("linux/amd64/v3", "linux/amd64/v1", False),
        ("linux/amd64", "linux/amd64/v1", True),
        ("linux/aarch64", "linux/arm64/v8", True),
        ("linux/x86_64", "linux/amd64", True),
    ],
)
def test_what_a_platform_asks_for(there: str, wanted: str, expected: bool) -> None:
    assert matches(platform(there), platform(wanted)) is expected


def entry(name: str, where: str | None = None, *, about: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "mediaType": MediaType.OCI_MANIFEST.value,
        "digest": str(Digest.of(name.encode())),
        "size": 7,
    }
    if where is not None:
        found["platform"] = dict(zip(("os", "architecture", "variant"), where.split("/"), strict=False))
    if about is not None:
        found["annotations"] = {
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": str(Digest.of(about.encode())),
        }
    return found


def index(*entries: dict[str, Any]) -> Manifest:
    body = json.dumps({"schemaVersion": 2, "mediaType": MediaType.OCI_INDEX, "manifests": entries}).encode()
    return manifests.parse(RawManifest(MediaType.OCI_INDEX, Digest.of(body), body), registry="primary")


def names(found: Manifest, known: str) -> set[str]:
    return {name for name in known.split() if Digest.of(name.encode()) in {child.digest for child in found.children}}


KNOWN = "amd arm win a-amd a-arm plain stray"
WHOLE = index(
    entry("amd", "linux/amd64"),
    entry("arm", "linux/arm64/v8"),
    entry("win", "windows/amd64"),
    entry("a-amd", "unknown/unknown", about="amd"),
    entry("a-arm", "unknown/unknown", about="arm"),
    entry("plain"),
    entry("stray", "unknown/unknown", about="elsewhere"),
)


def test_the_named_platforms_and_what_belongs_to_them_are_kept() -> None:
    chosen = choose(WHOLE, (AMD,))
    assert names(chosen, KNOWN) == {"amd", "a-amd", "plain", "stray"}
    assert len(chosen.omitted) == 3
    assert chosen.raw is WHOLE.raw
    assert {*chosen.children, *chosen.omitted} == set(WHOLE.children)
    assert names(choose(WHOLE, (AMD, Platform("linux", "arm64"))), KNOWN) == set(KNOWN.split()) - {"win"}


def test_without_a_choice_everything_is_kept() -> None:
    assert choose(WHOLE, None) is WHOLE
    body = b'{"schemaVersion": 2, "config": {"mediaType": "x/y", "digest": "%s", "size": 2}, "layers": []}' % (
        str(Digest.of(b"{}")).encode()
    )
    image = manifests.parse(RawManifest(MediaType.OCI_MANIFEST, Digest.of(body), body), registry="primary")
    assert choose(image, (AMD,)) is image


def test_one_child_under_two_platforms_is_kept_when_one_of_them_is_asked_for() -> None:
    twice = index(entry("both", "linux/arm64"), entry("both", "linux/amd64"))
    chosen = choose(twice, (AMD,))
    assert chosen.children == twice.children
    assert chosen.omitted == ()


def test_an_index_without_any_of_the_platforms_is_refused_and_says_what_it_has() -> None:
    chosen = choose(index(entry("arm", "linux/arm64/v8"), entry("win", "windows/amd64")), (AMD,))
    with pytest.raises(
        ContentError, match=r"no image for linux/amd64, only for linux/arm64/v8, windows/amd64"
    ) as found:
        check_chosen(Closure((chosen,), ()), (AMD,), registry="primary")
    assert found.value.reason is Reason.UNSUPPORTED
    check_chosen(Closure((chosen,), ()), None, registry="primary")
    check_chosen(Closure((WHOLE,), ()), (AMD,), registry="primary")


def test_platforms_are_shown_as_people_write_them() -> None:
    assert shown_platform(Platform("linux", "arm64", "v8")) == "linux/arm64/v8"
    assert shown_platform(AMD) == "linux/amd64"
