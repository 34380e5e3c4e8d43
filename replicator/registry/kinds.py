"""Kinds of requests: what a registry limits one by one, so that a limit on one does not stop the others (P2)."""

from collections.abc import Mapping
from typing import Final

from replicator.model import Operation, RequestKind

TRANSFERS: Final = frozenset({RequestKind.BLOB_READ, RequestKind.UPLOAD_DATA})
"""Kinds that may hold a connection for long."""
_KINDS: Mapping[Operation, RequestKind] = {
    Operation.PING: RequestKind.STAT,
    Operation.TOKEN: RequestKind.TOKEN,
    Operation.MANIFEST_STAT: RequestKind.STAT,
    Operation.MANIFEST_READ: RequestKind.MANIFEST_READ,
    Operation.MANIFEST_WRITE: RequestKind.MANIFEST_WRITE,
    Operation.BLOB_STAT: RequestKind.STAT,
    Operation.BLOB_READ: RequestKind.BLOB_READ,
    Operation.BLOB_MOUNT: RequestKind.UPLOAD_START,
    Operation.UPLOAD_START: RequestKind.UPLOAD_START,
    Operation.UPLOAD_SEND: RequestKind.UPLOAD_DATA,
    Operation.UPLOAD_FINISH: RequestKind.UPLOAD_DATA,
    Operation.UPLOAD_CANCEL: RequestKind.UPLOAD_START,
    Operation.TAGS_LIST: RequestKind.LIST,
    Operation.CATALOG_LIST: RequestKind.LIST,
    Operation.REFERRERS_LIST: RequestKind.LIST,
}


def kind_of(operation: Operation) -> RequestKind:
    """Return the kind of an operation; one that has none of its own is small and reads."""
    return _KINDS.get(operation, RequestKind.STAT)
