"""Frozen types in the words of the OCI specifications, shared by every part of the daemon.

Nothing here does I/O. Text from outside becomes one of these types only through the `parse_*` functions,
which hold it against the grammar (distribution-spec "Pulling manifests", image-spec "Digests").
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NewType, Protocol

from replicator.errors import NameInvalid

Repository = NewType("Repository", str)
"""A repository name that follows the grammar, at most 255 characters."""
Tag = NewType("Tag", str)
"""A tag that follows the grammar, 1 to 128 characters."""

_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_HEX_LENGTH: Mapping[str, int] = {"sha256": 64, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")
_REPOSITORY_MAX = 255


class Hasher(Protocol):
    """The part of a hashlib object that verification needs."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        ...

    def hexdigest(self) -> str:
        """Lower-case hex of all bytes so far."""
        ...

    def copy(self) -> "Hasher":
        """Return an independent hasher with the same state."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content digest, `sha256` or `sha512`, lower-case hex of the exact length (image-spec "Digests")."""

    algorithm: str
    encoded: str

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Parse `algorithm:hex`. Raises NameInvalid for anything else, also for algorithms we cannot compute."""
        algorithm, separator, encoded = text.partition(":")
        if not separator or _HEX_LENGTH.get(algorithm) != len(encoded) or not _HEX.fullmatch(encoded):
            raise NameInvalid(f"{shown(text)} is not a sha256 or sha512 digest")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> "Digest":
        """Compute the digest of `data`."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def hasher(self) -> Hasher:
        """Return a fresh hasher of this digest's algorithm."""
        return hashlib.new(self.algorithm)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


Reference = Tag | Digest
"""What a manifest can be asked by."""


def shown(text: str, limit: int = 120) -> str:
    """Return untrusted text safe for a message or a log line: quoted, escaped, at most `limit` characters (S17)."""
    cut = text if len(text) <= limit else text[:limit] + "..."
    return ascii(cut)


def parse_repository(text: str) -> Repository:
    """Return `text` as a repository name. Raises NameInvalid."""
    if len(text) > _REPOSITORY_MAX or not _REPOSITORY.fullmatch(text):
        raise NameInvalid(f"{shown(text)} is not a repository name")
    return Repository(text)


def parse_tag(text: str) -> Tag:
    """Return `text` as a tag. Raises NameInvalid."""
    if not _TAG.fullmatch(text):
        raise NameInvalid(f"{shown(text)} is not a tag")
    return Tag(text)


def parse_reference(text: str) -> Reference:
    """Return `text` as a digest when it holds a colon (no tag can), else as a tag. Raises NameInvalid."""
    return Digest.parse(text) if ":" in text else parse_tag(text)


class MediaType(StrEnum):
    """Media types the daemon decides by (image-spec "Media Types", Docker schema 2)."""

    OCI_INDEX = "application/vnd.oci.image.index.v1+json"
    OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
    OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
    DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
    DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
    DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
    DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"


INDEX_TYPES = frozenset({MediaType.OCI_INDEX, MediaType.DOCKER_LIST})
MANIFEST_TYPES = frozenset({MediaType.OCI_MANIFEST, MediaType.DOCKER_MANIFEST, MediaType.OCI_ARTIFACT})
SCHEMA1_TYPES = frozenset({MediaType.DOCKER_SCHEMA1, MediaType.DOCKER_SCHEMA1_SIGNED})
ACCEPTED_MANIFESTS = (
    MediaType.OCI_INDEX,
    MediaType.OCI_MANIFEST,
    MediaType.DOCKER_LIST,
    MediaType.DOCKER_MANIFEST,
    MediaType.OCI_ARTIFACT,
)
"""Every manifest type we can copy, in the order in which we ask for it."""


@dataclass(frozen=True, slots=True)
class Platform:
    """An image's platform as an index names it."""

    os: str
    architecture: str
    variant: str = ""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of content it needs (image-spec "Content Descriptors"); `size` in bytes.

    `describes` is the image that an attestation in an index is about, `data` the content itself where it is embedded
    and was verified.
    """

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    describes: Digest | None = None
    data: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class RawManifest:
    """A manifest as a registry served it: the raw `body`, its media type, and the digest of those very bytes."""

    media_type: str
    digest: Digest
    body: bytes = field(repr=False)


class Operation(StrEnum):
    """What a request asks of a registry: a label of metrics, a word in errors."""

    PING = "ping"
    TOKEN = "token"  # noqa: S105 -- the name of an operation
    MANIFEST_STAT = "manifest_stat"
    MANIFEST_READ = "manifest_read"
    MANIFEST_WRITE = "manifest_write"
    MANIFEST_DELETE = "manifest_delete"
    BLOB_STAT = "blob_stat"
    BLOB_READ = "blob_read"
    BLOB_MOUNT = "blob_mount"
    UPLOAD_START = "upload_start"
    UPLOAD_STATUS = "upload_status"
    UPLOAD_SEND = "upload_send"
    UPLOAD_FINISH = "upload_finish"
    UPLOAD_CANCEL = "upload_cancel"
    TAGS_LIST = "tags_list"
    CATALOG_LIST = "catalog_list"
    REFERRERS_LIST = "referrers_list"


class RequestKind(StrEnum):
    """What requests have in common for the limits of a registry: a label of metrics."""

    STAT = "stat"
    MANIFEST_READ = "manifest_read"
    BLOB_READ = "blob_read"
    UPLOAD_START = "upload_start"
    UPLOAD_DATA = "upload_data"
    MANIFEST_WRITE = "manifest_write"
    LIST = "list"
    TOKEN = "token"  # noqa: S105 -- the name of a kind


class Priority(IntEnum):
    """How urgent an intent is; lower goes first."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class ChangeKind(StrEnum):
    """What a webhook says happened to a reference."""

    PUSH = "push"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A hint that a reference may have changed, learned from a webhook or an operator.

    `digest` is what the sender says the reference names (None when it does not say); `happened_at` is the
    sender's own time in Unix seconds; `host` the registry it names, unchecked; `event_id` what the sender calls the
    event, `delivery` what we call all that came with it (correlation.py).
    """

    kind: ChangeKind
    repository: Repository
    reference: Reference
    digest: Digest | None = None
    happened_at: float | None = None
    host: str | None = None
    event_id: str = ""
    delivery: str = ""


@dataclass(frozen=True, slots=True, order=True)
class IntentKey:
    """The row that says what must be made equal: one per replica, repository and reference."""

    replica: str
    repository: Repository
    reference: Reference

    def __str__(self) -> str:
        separator = "@" if isinstance(self.reference, Digest) else ":"
        return f"{self.replica} {self.repository}{separator}{self.reference}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """The wish to make a replica's reference equal to the primary's, as routing asks the store to keep it.

    `digest` is the sender's hint. `since` is when the change happened and `due_at` when work may start, both in
    Unix seconds. `fingerprint` identifies the policy that made the row, `delivery` what told of the change.
    `backfill` says that it fills a replica with what nobody pushed just now: no lag (DESIGN 2.4).
    """

    key: IntentKey
    digest: Digest | None
    since: float
    due_at: float
    priority: Priority = Priority.NORMAL
    fingerprint: str = ""
    delivery: str = ""
    backfill: bool = False


class Recorded(StrEnum):
    """What the store made of an intent."""

    ACCEPTED = "accepted"  # the row is owed now and was not before
    COALESCED = "coalesced"  # the row was owed already; the newer change was merged into it
    KNOWN = "known"  # nothing to do: the row is clean and already holds this digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to work on one intent until it ends; settling counts only for this `epoch`.

    `generation` is the change the work answers to; `have` what the replica held when last settled; `look` is true
    when the row is clean and only a second look at the primary is due (DESIGN 3, verify_at); `looks` counts those
    taken since the last change; `since` is the row's dirty_since (None for a look); `attempts` are failures so far,
    the first of them at `failing_since`; `delivery` is what told of the newest change, "" when that is not known.
    """

    key: IntentKey
    generation: int
    epoch: int
    digest: Digest | None
    have: Digest | None
    since: float | None
    attempts: int
    failing_since: float | None
    look: bool
    looks: int
    priority: Priority = Priority.NORMAL
    fingerprint: str = ""
    delivery: str = ""
    backfill: bool = False
