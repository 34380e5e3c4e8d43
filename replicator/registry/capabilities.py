"""What one registry can do: proven by its own answers, believed for a time, or laid down in the configuration.

Never decided by host name. What is unproven is None: whoever asks then takes the slower, safe way, or finds out.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from replicator.clock import Clock
from replicator.registry.upload_forms import UploadForms, UploadLimits, UploadMode
from replicator.settings.registries import RegistrySettings

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


class DigestList(StrEnum):
    """A list that only one kind of registry has, which tells the digests of many tags at once."""

    ACR = "acr"
    HARBOR = "harbor"
    ECR = "ecr"
    QUAY = "quay"


PAGE_SIZE: Final = 1000
"""Names asked for in one page of a list until a registry refuses that."""


class Capabilities:
    """The record of one registry. What the configuration says is never unlearned.

    `uploads` is the part about the form of uploads.
    """

    def __init__(
        self,
        clock: Clock,
        fixed: Mapping[Capability, bool] | Mapping[Capability | DigestList, bool] = MappingProxyType({}),
        *,
        limits: UploadLimits = UploadLimits(),  # noqa: B008 -- frozen
        page_size: int | None = None,
    ) -> None:
        self._clock = clock
        self._fixed: dict[Capability | DigestList, bool] = dict(fixed.items())
        self._proven: dict[Capability | DigestList, tuple[bool, float]] = {}
        self._page_size = page_size
        self._pages_refused_until = 0.0
        self.uploads = UploadForms(clock, limits)

    @classmethod
    def of(cls, settings: RegistrySettings, clock: Clock) -> "Capabilities":
        """Return the record of a configured registry, empty but for what its `capabilities:` lay down."""
        said = settings.capabilities
        if said is None:
            return cls(clock)
        fixed: dict[Capability | DigestList, bool] = {
            one: value for one in Capability if (value := getattr(said, one)) is not None
        }
        if said.digest_list is not None:
            fixed.update((one, one == said.digest_list) for one in DigestList)
        mode = None if said.upload is None else UploadMode(said.upload)
        limits = UploadLimits(mode=mode, chunk_min=said.chunk_min, chunk_max=said.chunk_max)
        return cls(clock, fixed, limits=limits, page_size=said.page_size)

    def holds(self, capability: Capability | DigestList) -> bool | None:
        """Say whether the registry can do it; None when that is not proven, or was too long ago."""
        if capability in self._fixed:
            return self._fixed[capability]
        holds, until = self._proven.get(capability, (None, 0.0))
        return holds if self._clock.monotonic() < until else None

    def learn(self, capability: Capability | DigestList, holds: bool) -> None:  # noqa: FBT001 -- the fact that was proven
        """Keep what an answer of the registry proved."""
        lasts = HOLDS_FOR if holds else LACKS_FOR
        self._proven[capability] = (holds, self._clock.monotonic() + lasts)

    @property
    def page_size(self) -> int | None:
        """Names to ask for in one page of a list; None: as many as the registry likes."""
        if self._page_size is not None:
            return self._page_size
        return None if self._clock.monotonic() < self._pages_refused_until else PAGE_SIZE

    def page_refused(self) -> None:
        """Take note that the registry found a page of that size too large."""
        self._pages_refused_until = self._clock.monotonic() + LACKS_FOR
