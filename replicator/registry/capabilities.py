"""What one registry can do: proven by its own answers, believed for a time, or laid down in the configuration.

Never decided by host name. What is unproven is None: whoever asks then takes the slower, safe way, or finds out.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from replicator.clock import Clock

HOLDS_FOR: Final = 24 * 3600.0
"""Seconds for which a proof that a registry can do something is believed."""
LACKS_FOR: Final = 3600.0
"""Seconds for which a proof that it cannot is believed: it may have been upgraded, or set up better."""


class Capability(StrEnum):
    """Something that some registries can do and others cannot; the words are keys of `capabilities:`."""

    MOUNT = "mount"  # takes a blob over from another of its repositories
    ANONYMOUS_MOUNT = "anonymous_mount"  # the same without being told from which one
    MOUNT_UNREFERENCED = "mount_unreferenced"  # mounts a blob that no manifest of its repository names yet
    RESUME = "resume"  # keeps the bytes of an upload that was cut
    RANGES = "ranges"  # serves a part of a blob
    REFERRERS = "referrers"  # has the referrers API
    SPARSE_INDEX = "sparse_index"  # takes an index of which some children are missing
    CHECKS_MANIFESTS = "checks_manifests"  # refuses a manifest whose blobs or children are missing
    CHECKS_DIGESTS = "checks_digests"  # refuses a blob whose bytes are not its digest's
    TAG_DELETE = "tag_delete"  # removes a tag and leaves its manifest
    CATALOG = "catalog"  # lists its repositories


class Capabilities:
    """The record of one registry. What the configuration says is never unlearned."""

    def __init__(self, clock: Clock, fixed: Mapping[Capability, bool] = MappingProxyType({})) -> None:
        self._clock = clock
        self._fixed = dict(fixed)
        self._proven: dict[Capability, tuple[bool, float]] = {}

    def holds(self, capability: Capability) -> bool | None:
        """Say whether the registry can do it; None when that is not proven, or was too long ago."""
        if capability in self._fixed:
            return self._fixed[capability]
        holds, until = self._proven.get(capability, (None, 0.0))
        return holds if self._clock.monotonic() < until else None

    def learn(self, capability: Capability, holds: bool) -> None:  # noqa: FBT001 -- the fact that was proven
        """Keep what an answer of the registry proved."""
        lasts = HOLDS_FOR if holds else LACKS_FOR
        self._proven[capability] = (holds, self._clock.monotonic() + lasts)
