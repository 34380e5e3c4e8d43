"""Which form of upload a registry takes: one PUT, one streamed PATCH, or chunks (U4-U6, U9). Learned, never guessed.

The way down is taken only on proof, and kept for an hour once a lower form did what a higher one was refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from replicator.clock import Clock
from replicator.errors import Reason, RegistryError
from replicator.model import Descriptor, Digest, Repository

REMEMBERED_FOR: Final = 3600.0
"""Seconds for which a refusal is believed."""
_MIB = 1024 * 1024
_RESETS_KEPT = 1024
_ANY_SIZE = frozenset({HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE})


class UploadMode(StrEnum):
    """How the bytes of a blob travel; the words are values of `capabilities.upload`."""

    PUT = "put"
    STREAM = "stream"
    CHUNKS = "chunks"


@dataclass(frozen=True, slots=True)
class UploadForm:
    """One rung: the mode, and for chunks their length in bytes."""

    mode: UploadMode
    chunk: int | None = None

    def body(self, size: int) -> int:
        """Return the length of the longest request body that a blob of `size` bytes needs."""
        return size if self.chunk is None else min(size, self.chunk)

    def __str__(self) -> str:
        return self.mode if self.chunk is None else f"{self.mode} of {self.chunk // _MIB or self.chunk / _MIB:g} MiB"


LADDER: Final = (
    UploadForm(UploadMode.PUT),
    UploadForm(UploadMode.STREAM),
    UploadForm(UploadMode.CHUNKS, 64 * _MIB),
    UploadForm(UploadMode.CHUNKS, 4 * _MIB),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What the configuration lays down: the mode, and the bounds of one chunk in bytes. None: is found out."""

    mode: UploadMode | None = None
    chunk_min: int | None = None
    chunk_max: int | None = None


@dataclass(slots=True)
class _Refused:
    """What is remembered of a refusal: its status, the shortest body refused, and until when it is believed."""

    status: int
    smallest: int
    until: float

    def covers(self, tried: UploadForm, form: UploadForm, size: int) -> bool:
        """Say whether the refusal of `tried` speaks against a blob of `size` bytes sent as `form`."""
        if tried != form:
            if UploadMode.PUT in {tried.mode, form.mode}:
                return False
            # Both are PATCH: refused as such, or for the length of the body.
            if self.status not in {HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}:
                return False
        return form.body(size) >= self.smallest


_Upload = tuple[UploadForm, Repository, Digest]


@dataclass(slots=True)
class UploadForms:
    """What one registry has proven of its uploads."""

    clock: Clock
    limits: UploadLimits = UploadLimits()
    _refused: dict[UploadForm, _Refused] = field(default_factory=dict)
    _resets: dict[_Upload, int] = field(default_factory=dict)

    def best(self, size: int, refusals: Mapping[UploadForm, RegistryError] | None = None) -> UploadForm | None:
        """Return the highest form for a blob of `size` bytes that is not known to be refused.

        `refusals` are those of the upload under way; None when they leave nothing to try.
        """
        rungs, now = self._rungs(), self.clock.monotonic()
        just_now = {tried: _refused(tried, error, size, now) for tried, error in (refusals or {}).items()}
        believed = {tried: refused for tried, refused in self._refused.items() if now < refused.until}
        for form in rungs:
            against = (*believed.items(), *just_now.items())
            if not any(refused.covers(tried, form, size) for tried, refused in against):
                return form
        # What refused other blobs may still take this one: with nothing left to try, the last rung is.
        return None if just_now else rungs[-1]

    def proves_refusal(
        self, form: UploadForm, error: RegistryError, repository: Repository, descriptor: Descriptor
    ) -> bool:
        """Say whether `error` of that blob's upload shows that this registry does not take such uploads.

        A broken connection may be a mishap, and break several uploads at once; the second in a row of the same upload
        counts as proof.
        """
        if error.status in _ANY_SIZE or error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return True
        if error.status == 0 and error.reason == Reason.NETWORK:
            upload = (form, repository, descriptor.digest)
            again = self._resets.pop(upload, None) is not None
            self._resets[upload] = form.body(descriptor.size)
            if len(self._resets) > _RESETS_KEPT:
                del self._resets[next(iter(self._resets))]
            return again
        return False

    def worked(self, form: UploadForm, size: int, refusals: Mapping[UploadForm, RegistryError]) -> None:
        """Take note that `form` carried a blob of `size` bytes; what was refused before it is remembered."""
        carried, now = form.body(size), self.clock.monotonic()
        # A body as long as that went through: resets of no longer ones were mishaps.
        self._resets = {
            upload: length
            for upload, length in self._resets.items()
            if upload[0] not in refusals and (upload[0] != form or length > carried)
        }
        for tried, error in refusals.items():
            refused, known = _refused(tried, error, size, now), self._refused.get(tried)
            if known is not None and now < known.until:
                refused.smallest = min(refused.smallest, known.smallest)
            self._refused[tried] = refused

    def chunk_length(self, form: UploadForm, least: int) -> int:
        """Return the bytes of one chunk for a session that wants `least`; the configuration has the last word."""
        length = max(form.chunk or 0, least, self.limits.chunk_min or 0)
        return length if self.limits.chunk_max is None else min(length, self.limits.chunk_max)

    def _rungs(self) -> tuple[UploadForm, ...]:
        most = self.limits.chunk_max
        wanted = [form for form in LADDER if self.limits.mode in {None, form.mode}]
        bounded = [
            form if form.chunk is None or most is None else UploadForm(form.mode, min(form.chunk, most))
            for form in wanted
        ]
        return tuple(dict.fromkeys(bounded))


def _refused(tried: UploadForm, error: RegistryError, size: int, now: float) -> _Refused:
    smallest = 0 if error.status in _ANY_SIZE else tried.body(size)
    return _Refused(error.status, smallest, now + REMEMBERED_FOR)
