"""The statements that end the leases of a process that is gone."""

from sqlalchemy import ColumnElement, bindparam, case, literal_column, null, or_, update

from replicator.store.prepared import Prepared
from replicator.store.statements import later
from replicator.store.tables import LOOK_PENDING, OWED, intent

_ZERO: ColumnElement[int] = literal_column("0")
_ONE: ColumnElement[int] = literal_column("1")
_row = intent.c
_LEASED = _row.lease_owner.is_not(None)
_FORMER = {
    "lease_epoch": bindparam("epoch"),
    "doubt_at": case(
        (
            or_(_row.reference >= bindparam("first_tag"), _row.put == _ONE),
            later(_row.doubt_at, bindparam("new_doubt")),
        ),
        else_=_row.doubt_at,
    ),
    "lease_owner": null(),
    "lease_until": _ZERO,
}
END_FORMER_OWED = Prepared(update(intent).where(OWED, _LEASED).values(_FORMER))
"""End the leases of a former life on owed rows; their last put, or delete, may have been on its way."""
END_FORMER_LOOKS = Prepared(update(intent).where(LOOK_PENDING, _LEASED).values(_FORMER))
"""The same for looks."""
