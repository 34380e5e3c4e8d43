"""Rows of events, inside the writer thread: those of one commit are written together, with what came of them.

What is kept of an event is packed into one value: a row of many columns costs an acknowledgement three times as much.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from itertools import islice

from sqlalchemy import bindparam, delete, func, insert, literal_column, select

from replicator.correlation import pack_delivery, unpack_delivery
from replicator.errors import StoreError
from replicator.heard import Event, Heard, Unheeded
from replicator.model import ChangeKind, Recorded, Reference, Repository
from replicator.store.encoding import pack_digest, pack_reference, unpack_digest
from replicator.store.event_tables import event
from replicator.store.prepared import Prepared, Value
from replicator.store.session import Session

MOST = 50_000
"""Events kept of all references: some 7 MB, 35 MB at the most with names as long as they may be."""
TRIM_EVERY = 64
"""So many more may be there for a moment."""
_ENDPOINT_LIMIT = 128

_PACKED = struct.Struct(">BBddIII16sB")
"""Kind, why nothing came of it, its own time (NaN: none) and ours, three counts, delivery, length of the digest.

Behind it come the digest and the name of the endpoint.
"""
_KINDS = (ChangeKind.PUSH, ChangeKind.DELETE)
_UNHEEDED = (None, Unheeded.NO_RULE, Unheeded.OTHER_HOST)
_NO_DELIVERY = bytes(16)

_row = event.c
_ADD = Prepared(
    insert(event).values(
        repository=bindparam("new_repository"), reference=bindparam("new_reference"), told=bindparam("new_told")
    )
)
_BOUND = Prepared(
    delete(event).where(_row.id <= select(func.max(_row.id) - literal_column(str(MOST))).scalar_subquery())
)


def keep(session: Session, heard: Sequence[Heard], recorded: Iterable[Recorded]) -> None:
    """Remember events and what came of them: of each its share of `recorded`, in order."""
    answers = iter(recorded)
    for one in heard:
        made = list(islice(answers, one.made))
        session.events.append(packed(one, made))
        session.telling = session.telling or made.count(Recorded.KNOWN) < len(made)


def write(session: Session) -> None:
    """Have the events of the commit under way kept with it; from time to time what is too old makes room.

    Those of which nothing came wait, unless something came of another one.
    """
    if not session.telling:
        session.unwritten.extend(session.events)
        session.events.clear()
        return
    waiting = session.unwritten
    # Whoever adds to it does so on another thread.
    session.writing += [waiting.popleft() for _ in range(len(waiting))]
    written = session.writing + session.events
    _ADD.run_at_commit(session.connection, written)
    session.until_trim -= len(written)
    if session.until_trim <= 0:
        session.until_trim = TRIM_EVERY
        _BOUND.run_at_commit(session.connection, [{}])


def packed(heard: Heard, made: Sequence[Recorded]) -> dict[str, Value]:
    """Return the row of an event, of which `made` came."""
    change = heard.change
    digest = pack_digest(change.digest) or b""
    told = _PACKED.pack(
        _KINDS.index(change.kind),
        _UNHEEDED.index(heard.unheeded),
        math.nan if change.happened_at is None else change.happened_at,
        heard.at,
        made.count(Recorded.ACCEPTED),
        made.count(Recorded.COALESCED),
        made.count(Recorded.KNOWN),
        pack_delivery(change.delivery) or _NO_DELIVERY,
        len(digest),
    )
    return {
        "new_repository": change.repository,
        "new_reference": pack_reference(change.reference),
        "new_told": told + digest + heard.endpoint.encode()[:_ENDPOINT_LIMIT],
    }


def unpacked(repository: Repository, reference: Reference, told: Value) -> Event:
    """Return the event that a row tells of. Raises StoreError."""
    if not isinstance(told, bytes):
        raise StoreError("an event is no bytes: the database is damaged")
    kind, unheeded, happened_at, received_at, owed, merged, known, delivery, length = _PACKED.unpack_from(told)
    digest, endpoint = told[_PACKED.size :][:length], told[_PACKED.size + length :]
    return Event(
        repository=repository,
        reference=reference,
        kind=_KINDS[kind],
        digest=unpack_digest(digest or None),
        endpoint=endpoint.decode(errors="replace"),
        delivery=unpack_delivery(None if delivery == _NO_DELIVERY else delivery),
        happened_at=None if math.isnan(happened_at) else happened_at,
        received_at=received_at,
        owed=owed,
        merged=merged,
        known=known,
        unheeded=_UNHEEDED[unheeded],
    )
