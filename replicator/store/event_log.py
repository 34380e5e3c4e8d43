"""What told of references, as the store answers it: the newest events, a bounded memory.

Events that changed something are kept by the commit that they cause anyway. Of the others nothing came: they wait in
memory for the next such commit, and cause none.
"""

from collections.abc import Iterable
from functools import partial

from sqlalchemy import bindparam, literal_column, select

from replicator.heard import Event, Heard
from replicator.model import Reference, Repository
from replicator.store.encoding import pack_reference, unpack_reference
from replicator.store.event_rows import packed, unpacked
from replicator.store.event_tables import event
from replicator.store.handle import Handle
from replicator.store.prepared import Connection, Prepared, Value

_row = event.c
_NEWEST = Prepared(
    select(_row.told)
    .where(_row.repository == bindparam("name"), _row.reference == bindparam("reference"))
    .order_by(_row.id.desc())
    .limit(bindparam("count"))
    .offset(literal_column("0"))
)
_LATEST = Prepared(
    select(_row.repository, _row.reference, _row.told)
    .order_by(_row.id.desc())
    .limit(bindparam("count"))
    .offset(literal_column("0"))
)


class EventLog(Handle):
    """The part of the store that remembers what told of references."""

    def overhear(self, heard: Iterable[Heard]) -> None:
        """Remember events of which nothing came; they are on the disk with the next commit of such that count."""
        self._unwritten.extend(packed(one, ()) for one in heard)

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
        return tuple(unpacked(repository, reference, told) for told in (*waiting, *kept)[:limit])


def _newest(connection: Connection, wanted: dict[str, Value]) -> list[Value]:
    """Return what is kept on the disk of the newest events of a reference, newest first; reads all if need be."""
    return [told for (told,) in _NEWEST.run(connection, wanted)]


def lately(connection: Connection, count: int) -> dict[Repository, float]:
    """Return when each repository was last told of by the newest `count` events that changed something."""
    times: dict[Repository, float] = {}
    for name, reference, told in _LATEST.run(connection, {"count": count}):
        one = unpacked(Repository(name), unpack_reference(reference), told)
        if one.owed or one.merged:
            times.setdefault(one.repository, one.received_at)
    return times
