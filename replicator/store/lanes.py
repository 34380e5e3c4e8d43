"""Pauses of lanes, inside the writer thread and for readers: a lane that is paused is given no lease."""

from collections.abc import Mapping

from sqlalchemy import bindparam, func, null, select, update
from sqlalchemy.dialects.postgresql import insert

from replicator.store.prepared import Connection, Prepared
from replicator.store.session import Session
from replicator.store.tables import lane

_incoming = insert(lane).values(replica=bindparam("replica"), paused_since=bindparam("now"))
_PAUSE = Prepared(
    _incoming.on_conflict_do_update(
        index_elements=[lane.c.replica],
        set_={"paused_since": func.coalesce(lane.c.paused_since, _incoming.excluded.paused_since)},
    )
)
"""Pause a lane; one that is paused already stays so since then."""
_RESUME = Prepared(
    update(lane)
    .where(lane.c.replica == bindparam("replica"), lane.c.paused_since.is_not(None))
    .values(paused_since=null())
)
_PAUSED = Prepared(select(lane.c.paused_since).where(lane.c.replica == bindparam("replica")))
_ALL_PAUSED = Prepared(select(lane.c.replica, lane.c.paused_since).where(lane.c.paused_since.is_not(None)))


def pause(session: Session, replica: str) -> bool:
    """Give the replica's lane no more leases; return whether it was at work before."""
    if paused_since(session.connection, replica) is not None:
        return False
    _PAUSE.run(session.connection, {"replica": replica, "now": session.clock.now()})
    return True


def resume(session: Session, replica: str) -> bool:
    """Give the replica's lane leases again; return whether it was paused."""
    return _RESUME.run(session.connection, {"replica": replica}).rowcount == 1


def paused_since(connection: Connection, replica: str) -> float | None:
    """Return since when the replica's lane is paused, None when it is not."""
    found = _PAUSED.run(connection, {"replica": replica}).fetchone()
    return None if found is None else found[0]


def all_paused(connection: Connection) -> Mapping[str, float]:
    """Return since when each lane is paused that is."""
    return dict(_ALL_PAUSED.run(connection, {}).fetchall())
