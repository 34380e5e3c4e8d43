"""What audits found to be wrong on replicas: owed, and worked on as if nothing were known of the replica."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import ColumnElement, and_, bindparam, delete, literal_column, select
from sqlalchemy.dialects.postgresql import insert

from replicator.model import Digest, Intent, IntentKey, Lease, Recorded
from replicator.store import changes, ignored
from replicator.store.encoding import pack_digest, pack_reference, unpack_digest
from replicator.store.handle import Handle
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.session import Session
from replicator.store.tables import intent, repair, repository

_row, _at = intent.c, repair.c
_NOTED = ("replica", "repository_id", "reference", "digest", "generation")
_WHOLE = b""
_COLUMNS: tuple[ColumnElement[bytes], ...] = (bindparam("digest"),)
_note = insert(repair).from_select(
    _NOTED,
    select(_row.replica, _row.repository_id, _row.reference, *_COLUMNS, _row.generation).where(
        _row.replica == bindparam("key_replica"),
        _row.repository_id == bindparam("key_repository"),
        _row.reference == bindparam("key_reference"),
    ),
)
_NOTE = Prepared(
    _note.on_conflict_do_update(
        index_elements=[_at.replica, _at.repository_id, _at.reference, _at.digest],
        set_={"generation": _note.excluded.generation},
    )
)
_WANTED = Prepared(
    select(_at.digest)
    .select_from(repair.join(repository, repository.c.id == _at.repository_id))
    .where(
        _at.replica == bindparam("replica"),
        repository.c.name == bindparam("name"),
        _at.reference == bindparam("reference"),
    )
)
_OF_AN_INTENT = and_(
    _row.replica == _at.replica, _row.repository_id == _at.repository_id, _row.reference == _at.reference
)
_ANY = Prepared(
    select(_at.replica)
    .select_from(repair.join(intent, _OF_AN_INTENT))
    .limit(literal_column("1"))
    .offset(literal_column("0"))
)
_DONE = Prepared(
    delete(repair).where(
        and_(
            _at.replica == bindparam("key_replica"),
            _at.repository_id == bindparam("key_repository"),
            _at.reference == bindparam("key_reference"),
        ),
        _at.generation <= bindparam("seen_generation"),
    )
)


class Repairs(Handle):
    """The part of the store that keeps repairs. All methods raise StoreError."""

    _none: bool = False
    """There is surely no repair: the usual case costs no question."""
    _under_way: int = 0
    _noted: int = 0

    async def repair(self, intents: Sequence[Intent], damaged: Collection[Digest] = ()) -> tuple[Recorded, ...]:
        """Keep intents as `record` does, and that their content on the replica is not to be believed.

        `damaged` are blobs and manifests of theirs that are there, with wrong bytes. What is ignored by decision
        stays so as long as the intent's digest is the one that the decision is about.
        """
        self._none = False
        self._under_way += 1
        keeping = asyncio.ensure_future(self._writer.submit(partial(_repair, intents=intents, damaged=damaged)))
        # Not when a caller that is cancelled leaves: it is kept later all the same.
        keeping.add_done_callback(self._kept)
        return await asyncio.shield(keeping)

    async def wanted_repair(self, key: IntentKey) -> frozenset[Digest] | None:
        """Return what of a row has wrong bytes on the replica, if anything of it is not to be believed; else None."""
        if self._none:
            return None
        before = self._noted
        found, none = await self._read(partial(_wanted, key=key))
        # Asked before the commit, it proves nothing.
        self._none = none and not self._under_way and before == self._noted
        return found

    async def repaired(self, lease: Lease) -> None:
        """Drop what was found before the lease was taken."""
        await self._writer.submit(partial(_done, lease=lease))

    def _kept(self, keeping: asyncio.Task[tuple[Recorded, ...]]) -> None:
        self._under_way -= 1
        self._noted += 1
        if not keeping.cancelled():
            keeping.exception()  # taken note of, though nobody may wait for it any more


def _repair(session: Session, intents: Sequence[Intent], damaged: Collection[Digest]) -> tuple[Recorded, ...]:
    wanted = [one for one in intents if not ignored.covers(session, session.key(one.key), one.digest)]
    # Without a digest: a row that is clean and has the right one is owed all the same.
    recorded = iter(changes.record(session, [replace(one, digest=None) for one in wanted]))
    digests = [_WHOLE, *(pack_digest(digest) for digest in damaged)]
    _NOTE.run_each(
        session.connection, ({**session.key(one.key), "digest": digest} for one in wanted for digest in digests)
    )
    return tuple(next(recorded) if one in wanted else Recorded.KNOWN for one in intents)


def _wanted(connection: Connection, key: IntentKey) -> tuple[frozenset[Digest] | None, bool]:
    """Return what is wanted, and whether there is no repair at all."""
    if not _ANY.run(connection, {}).fetchall():
        return None, True
    values: dict[str, Value] = {
        "replica": key.replica,
        "name": key.repository,
        "reference": pack_reference(key.reference),
    }
    found = [packed for (packed,) in _WANTED.run(connection, values).fetchall()]
    digests = (unpack_digest(packed) for packed in found if packed != _WHOLE)
    return (frozenset(one for one in digests if one is not None) if found else None), False


def _done(session: Session, lease: Lease) -> None:
    _DONE.run(session.connection, {**session.key(lease.key), "seen_generation": lease.generation})
