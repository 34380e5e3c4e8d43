"""Which children of an index a policy keeps: the platforms it names and what belongs to them. Pure.

The index itself is never changed: what is left out stays named in it, so that digests and signatures hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from replicator.errors import ContentError, Reason
from replicator.manifest import Closure, Manifest
from replicator.model import INDEX_TYPES, Descriptor, Platform

UNKNOWN = "unknown"
"""What BuildKit writes as the system and the architecture of an attestation."""
_ALIASES: Mapping[str, str] = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
_USUAL_VARIANT: Mapping[str, str] = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


def shown_platform(platform: Platform) -> str:
    """Return a platform as people write it."""
    return "/".join(filter(None, (platform.os, platform.architecture, platform.variant)))


def matches(platform: Platform, wanted: Platform) -> bool:
    """Say whether an image for `platform` is asked for by `wanted`.

    Without a variant all variants are: a runtime picks the best one that the index names, and must find it. With one,
    an image that names none counts as its architecture's usual variant (arm64 is arm64/v8, arm is arm/v7).
    """
    if platform.os != wanted.os or _architecture(platform) != _architecture(wanted):
        return False
    return not wanted.variant or _variant(platform) == _variant(wanted)


def choose(manifest: Manifest, wanted: Sequence[Platform] | None) -> Manifest:
    """Return `manifest` with those children only that `wanted` asks for (None: all); the others are `omitted`.

    Kept as well: children without a platform, and attestations of what is kept. An image has no choice to offer.
    """
    if wanted is None or manifest.raw.media_type not in INDEX_TYPES:
        return manifest
    out = {child.digest for child in manifest.children if not _asked_for(child, wanted)}
    out -= {child.digest for child in manifest.children if _asked_for(child, wanted)}
    about_nothing = {child.digest for child in manifest.children if _is_unknown(child) and child.describes in out}
    left = out | about_nothing
    return replace(
        manifest,
        children=tuple(child for child in manifest.children if child.digest not in left),
        omitted=tuple(child for child in manifest.children if child.digest in left),
    )


def check_chosen(closure: Closure, wanted: Sequence[Platform] | None, *, registry: str) -> None:
    """Raise ContentError when a policy leaves nothing of an index that `registry` serves."""
    omitted = closure.omitted
    if wanted is None or not omitted or closure.blobs:
        return
    if any(manifest.raw.media_type not in INDEX_TYPES for manifest in closure.manifests):
        return
    there = sorted({shown_platform(child.platform) for child in omitted if child.platform is not None})
    asked = ", ".join(shown_platform(platform) for platform in wanted)
    raise ContentError(
        f"{registry}: index {closure.top.raw.digest} has no image for {asked}, only for {', '.join(there)[:300]}; "
        "see the rule's platforms",
        registry=registry,
        reason=Reason.UNSUPPORTED,
    )


def _asked_for(child: Descriptor, wanted: Sequence[Platform]) -> bool:
    platform = child.platform
    return platform is None or _is_unknown(child) or any(matches(platform, one) for one in wanted)


def _is_unknown(child: Descriptor) -> bool:
    return child.platform is None or UNKNOWN in {child.platform.os, child.platform.architecture}


def _architecture(platform: Platform) -> str:
    return _ALIASES.get(platform.architecture, platform.architecture)


def _variant(platform: Platform) -> str:
    variant = platform.variant or _USUAL_VARIANT.get(_architecture(platform), "")
    return variant if not variant.isdigit() else f"v{variant}"
