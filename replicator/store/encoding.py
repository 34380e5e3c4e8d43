"""How names and digests stand in a column: short bytes that no two values share.

A digest is one byte for its algorithm and the raw hash; a tag is its own ASCII bytes, whose first is never below
0x30. So one column holds both, and comparing bytes tells them apart in any engine.
"""

from collections.abc import Mapping

from replicator.errors import StoreError
from replicator.model import Digest, Reference, Tag

_ALGORITHMS: Mapping[str, bytes] = {"sha256": b"\x01", "sha512": b"\x02"}
_NAMES: Mapping[bytes, str] = {code: name for name, code in _ALGORITHMS.items()}
FIRST_TAG = b"\x30"
"""No digest sorts at or above it, no tag below."""


def pack_digest(digest: Digest | None) -> bytes | None:
    """Return the column value of a digest."""
    return None if digest is None else _pack(digest)


def _pack(digest: Digest) -> bytes:
    return _ALGORITHMS[digest.algorithm] + bytes.fromhex(digest.encoded)


def unpack_digest(packed: bytes | None) -> Digest | None:
    """Return the digest of a column value. Raises StoreError when the bytes are none."""
    return None if packed is None else _unpack(packed)


def _unpack(packed: bytes) -> Digest:
    algorithm = _NAMES.get(packed[:1])
    if algorithm is None:
        raise StoreError(f"{packed[:8].hex()}... is no digest: the database is damaged")
    return Digest(algorithm, packed[1:].hex())


def pack_reference(reference: Reference) -> bytes:
    """Return the column value of a tag or digest."""
    return _pack(reference) if isinstance(reference, Digest) else reference.encode()


def unpack_reference(packed: bytes) -> Reference:
    """Return the tag or digest of a column value."""
    return _unpack(packed) if packed < FIRST_TAG else Tag(packed.decode())


def bounded(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text` that every engine can keep: valid Unicode without NUL."""
    return text[:limit].encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
