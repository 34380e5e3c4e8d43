"""How long a token lives, when who gave it does not say: by its own claims, as a hint. Pure."""

import base64
import binascii
from typing import TypeGuard

from replicator import strict_json

_PARTS = 3
_LONGEST = 128 * 1024


def told_by(token: str) -> float | None:
    """Return the seconds from `iat` to `exp` of a JWT, None for any other token.

    Nothing is verified: a wrong hint makes a token be renewed too early, or refused once. Both times are of the
    issuer's clock, so ours may be off.
    """
    parts = token.split(".")
    if len(parts) != _PARTS or len(token) > _LONGEST:
        return None
    try:
        document = strict_json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)), limit=_LONGEST)
    except (binascii.Error, ValueError, strict_json.Invalid):
        return None
    claims = document if isinstance(document, dict) else {}
    issued, ends = claims.get("iat"), claims.get("exp")
    if not _is_number(issued) or not _is_number(ends):
        return None
    life = float(ends) - float(issued)
    return life if life > 0 else None


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 53
