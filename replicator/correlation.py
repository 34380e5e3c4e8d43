"""One id for each delivery, which stands in every line and exemplar of what it led to."""

import re
import uuid

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OTHER_IDS = uuid.UUID("5a7d3f0e-6c43-4f0b-9d0f-0c6f2e1b8a94")


def delivery_id(sent: str = "") -> str:
    """Return the id of a delivery that its sender calls `sent`: that itself where it is a UUID, as Distribution's.

    Another name always gives the same UUID, no name a new one. 16 bytes, in their usual spelling.
    """
    if not sent:
        return str(uuid.uuid4())
    return sent.lower() if _UUID.fullmatch(sent) else str(uuid.uuid5(_OTHER_IDS, sent))


def pack_delivery(delivery: str) -> bytes | None:
    """Return the 16 bytes of an id, None for no id."""
    return bytes.fromhex(delivery.replace("-", "")) if delivery else None


def unpack_delivery(packed: bytes | None) -> str:
    """Return the id of 16 bytes, "" for none."""
    return "" if packed is None else str(uuid.UUID(bytes=packed))
