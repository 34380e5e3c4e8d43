"""One root error and its few families; each error says whether it is temporary and when to retry.

Third-party exceptions are mapped to these once, at the edge that calls the third party.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why something failed: the bounded `reason` label of metrics and of stored rows."""

    AUTH = "auth"
    NOT_FOUND = "not_found"
    QUOTA = "quota"
    DIGEST_MISMATCH = "digest_mismatch"
    UNSUPPORTED = "unsupported"
    TIMEOUT = "timeout"
    SERVER_ERROR = "5xx"
    RATE_LIMITED = "429"
    NETWORK = "network"
    DISK = "disk"
    TLS = "tls"
    CONFLICT = "conflict"
    OTHER = "other"


class ReplicatorError(Exception):
    """Root of all errors raised on purpose.

    `temporary` says that trying the same again later may succeed; `retry_after` is the peer's own wish in seconds.
    """

    reason: Reason = Reason.OTHER
    temporary: bool = False
    retry_after: float | None = None


class SettingsError(ReplicatorError):
    """The configuration cannot be used; the message lists every mistake, one a line."""


class NameInvalid(ReplicatorError):
    """A repository, tag, digest or reference does not follow the distribution-spec grammar."""

    reason = Reason.UNSUPPORTED


class ContentError(ReplicatorError):
    """Bytes are not what their descriptor says: digest, size or media type differ, or a manifest is malformed.

    `registry` names who served them (configuration name).
    """

    reason = Reason.DIGEST_MISMATCH

    def __init__(self, message: str, *, registry: str, reason: Reason = Reason.DIGEST_MISMATCH) -> None:
        super().__init__(message)
        self.registry = registry
        self.reason = reason


class RegistryError(ReplicatorError):
    """A registry refused or could not be reached.

    `registry` is its configuration name, `status` the HTTP status (0 when no answer came), `code` the registry's
    own error code ("" when it gave none).
    """

    def __init__(  # noqa: PLR0913 -- what is known of a refusal; all but the first two have defaults
        self,
        message: str,
        *,
        registry: str,
        reason: Reason = Reason.OTHER,
        temporary: bool = False,
        retry_after: float | None = None,
        status: int = 0,
        code: str = "",
    ) -> None:
        super().__init__(message)
        self.registry = registry
        self.reason = reason
        self.temporary = temporary
        self.retry_after = retry_after
        self.status = status
        self.code = code


class AccessDenied(RegistryError):
    """401 after a fresh login, or 403: the credentials or their rights do not suffice. Never means absence."""


class ProxyFailed(RegistryError):
    """A proxy on the way is down, or refused to pass the request on: the registry has not seen it."""


class NotFound(RegistryError):
    """A positive 404 of a reachable registry for a manifest, blob, repository or upload session.

    `said` is the registry's own message, "" if it gave none: untrusted, and only to be compared.
    """

    said: str = ""


class Withheld(RegistryError):
    """A policy of the registry lets nobody read a manifest that it may hold (412): Harbor, of what is vulnerable.

    That it is there is no proof of which one it is, so neither presence nor absence may be concluded.
    """


class ManifestBlobUnknown(RegistryError):
    """The registry refused a manifest because a blob or child manifest is missing there.

    `missing` are the digests that it named, as text; not every registry names them.
    """

    missing: frozenset[str] = frozenset()


class ManifestNotTaken(RegistryError):
    """A registry that is up answered a manifest with a server error in its own words: it is about this manifest.

    Whether it may pass is not known (a layer that it does not allow, a fault of its storage), so it is temporary.
    """


class ReferrersNotTold(RegistryError):
    """A registry answered the question who refers to a manifest with a server error.

    Its manifests are read elsewhere, so this alone does not say that it is down.
    """


class StoreError(ReplicatorError):
    """The store could not commit or read; nothing of the request was kept."""

    reason = Reason.DISK
    temporary = True
