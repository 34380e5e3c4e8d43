"""What told of references, inside the writer thread and for readers: the newest events, a bounded memory.

Events that changed something are kept by the commit that they cause anyway. Of the others nothing came: they wait in
memory for the next such commit, and cause none. What is kept of an event is packed into one value: a row of many
columns costs an acknowledgement three times as much.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice

from sqlalchemy import bindparam, delete, func, insert, literal_column, select

from replicator.correlation import pack_delivery, unpack_delivery
from replicator.errors import StoreError
from replicator.heard import Event, Heard, Unheeded
from replicator.model import ChangeKind, Recorded, Reference, Repository
from replicator.store.encoding import pack_digest, pack_reference, unpack_digest
from replicator.store.event_tables import event
from replicator.store.handle import Handle
from replicator.store.prepared import Connection, Prepared, Value
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
_NEWEST = Prepared(
    select(_row.told)
    .where(_row.repository == bindparam("name"), _row.reference == bindparam("reference"))
    .order_by(_row.id.desc())
    .limit(bindparam("count"))
    .offset(literal_column("0"))
)


class EventLog(Handle):
    """The part of the store that remembers what told of references."""

    def overhear(self, heard: Iterable[Heard]) -> None:
        """Remember events of which nothing came; they are on the disk with the next commit of such that count."""
        self._unwritten.extend(_values(one, ()) for one in heard)

    async def events(self, repository: Repository, reference: Reference, limit: int) -> tuple[Event, ...]:
        """Return the newest events of a reference, newest first. Raises StoreError."""
        wanted: dict[str, Value] = {"name": repository, "reference": pack_reference(reference), "count": limit}
        kept = await self._read(partial(_newest, wanted=wanted))
        place = (repository, wanted["reference"])
        waiting = [
            one["new_told"]
            for one in reversed(self._unwritten.copy())
            if (one["new_repository"], one["new_reference"]) == place
        ]
        return tuple(_unpacked(repository, reference, told) for told in (*waiting, *kept)[:limit])


def keep(session: Session, heard: Sequence[Heard], recorded: Iterable[Recorded]) -> None:
    """Remember events and what came of them: of each its share of `recorded`, in order."""
    answers, counts = iter(recorded), False
    for one in heard:
        made = list(islice(answers, one.made))
        session.unwritten.append(_values(one, made))
        counts = counts or made.count(Recorded.KNOWN) < len(made)
    if counts:
        _write(session)


def _write(session: Session) -> None:
    """Write what waits; from time to time what is too old makes room."""
    waiting = session.unwritten
    while waiting:
        _ADD.run(session.connection, waiting.popleft())
        session.until_trim -= 1
    if session.until_trim <= 0:
        session.until_trim = TRIM_EVERY
        _BOUND.run(session.connection, {})


def _newest(connection: Connection, wanted: dict[str, Value]) -> list[Value]:
    """Return what is kept on the disk of the newest events of a reference, newest first; reads all if need be."""
    return [told for (told,) in _NEWEST.run(connection, wanted)]


def _values(heard: Heard, made: Sequence[Recorded]) -> dict[str, Value]:
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


def _unpacked(repository: Repository, reference: Reference, packed: Value) -> Event:
    if not isinstance(packed, bytes):
        raise StoreError("an event is no bytes: the database is damaged")
    kind, unheeded, happened_at, received_at, owed, merged, known, delivery, length = _PACKED.unpack_from(packed)
    digest, endpoint = packed[_PACKED.size :][:length], packed[_PACKED.size + length :]
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
