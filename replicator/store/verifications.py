"""The part of the store that continuous verification works with: what is clean, and how far it is."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, literal_column, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from replicator.errors import StoreError
from replicator.model import Digest, Repository, Tag
from replicator.store.encoding import FIRST_TAG, pack_reference, unpack_digest
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.session import Session
from replicator.store.sweeps import Threads
from replicator.store.tables import CLEAN, ignored, intent, repository, verification

_row, _at = intent.c, verification.c
_ZERO: ColumnElement[int] = literal_column("0")
_left_out = exists(
    select(ignored.c.replica).where(
        ignored.c.replica == _row.replica,
        ignored.c.repository_id == _row.repository_id,
        ignored.c.reference == _row.reference,
    )
)
_SETTLED = and_(
    _row.replica == bindparam("replica"),
    _row.reference >= bindparam("first_tag"),
    CLEAN,
    _row.have_digest.is_not(None),
    _row.verify_at.is_(None),
    ~_left_out,
)
_PAGE = Prepared(
    select(_row.repository_id, repository.c.name, _row.reference, _row.have_digest)
    .select_from(intent.join(repository, repository.c.id == _row.repository_id))
    .where(
        _SETTLED,
        tuple_(_row.repository_id, _row.reference)
        > tuple_(bindparam("after_repository"), bindparam("after_reference")),
    )
    .order_by(_row.repository_id, _row.reference)
    .limit(bindparam("count"))
    .offset(_ZERO)
)
_ONE = Prepared(
    select(_row.have_digest)
    .select_from(intent.join(repository, repository.c.id == _row.repository_id))
    .where(_SETTLED, repository.c.name == bindparam("name"), _row.reference == bindparam("reference"))
)
_COUNT = Prepared(select(func.count()).select_from(intent).where(_SETTLED))
_PLACES = Prepared(
    select(_at.repository_id, _at.reference, _at.whole_repository_id, _at.whole_reference).where(
        _at.replica == bindparam("replica")
    )
)
_ADD = Prepared(
    insert(verification).values(replica=bindparam("replica")).on_conflict_do_nothing(index_elements=[_at.replica])
)
_THIS = _at.replica == bindparam("replica")
_KEEP = Prepared(
    update(verification)
    .where(_THIS)
    .values(repository_id=bindparam("new_repository"), reference=bindparam("new_reference"))
)
_KEEP_WHOLE = Prepared(
    update(verification)
    .where(_THIS)
    .values(whole_repository_id=bindparam("new_repository"), whole_reference=bindparam("new_reference"))
)


@dataclass(frozen=True, slots=True)
class Place:
    """Behind which row to go on: the number of its repository, and its reference as it is stored."""

    repository: int = 0
    reference: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How far the verification of a replica is; `whole` of a pass over all rows, None when none is due."""

    steady: Place = Place()
    whole: Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanTag:
    """A tag that was settled: the replica was given `have`. `place` is where the next page begins."""

    repository: Repository
    tag: Tag
    have: Digest
    place: Place


class Verifications:
    """Reads what is clean and keeps how far verification is. All methods raise StoreError."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def page(self, replica: str, after: Place, limit: int) -> tuple[CleanTag, ...]:
        """Return clean tags of a replica behind a place, in a stable order."""
        values = {
            **_values(replica),
            "after_repository": after.repository,
            "after_reference": after.reference,
            "count": limit,
        }
        found = await self._threads.ask(lambda one: _PAGE.run(one, values).fetchall())
        return tuple(map(_clean, found))

    async def have(self, replica: str, name: Repository, tag: Tag) -> Digest | None:
        """Return what a replica was given under a tag, None when it is not clean any more."""
        values = {**_values(replica), "name": name, "reference": pack_reference(tag)}
        found = await self._threads.ask(lambda one: _ONE.run(one, values).fetchone())
        return None if found is None else unpack_digest(found[0])

    async def count(self, replica: str) -> int:
        """Return how many tags of a replica are clean."""
        found = await self._threads.ask(lambda one: _COUNT.run(one, _values(replica)).fetchone())
        return int(found[0])

    async def places(self, replica: str) -> Places:
        """Return how far the verification of a replica is."""
        return await self._threads.ask(partial(_places, replica=replica))

    async def keep(self, replica: str, steady: Place) -> None:
        """Keep how far it is."""
        await self._write(_KEEP, replica, steady)

    async def keep_whole(self, replica: str, whole: Place | None) -> None:
        """Keep how far the pass over all rows is; the first place has one begun, None: it is done."""
        await self._write(_KEEP_WHOLE, replica, whole)

    async def _write(self, statement: Prepared, replica: str, place: Place | None) -> None:
        values: dict[str, Value] = {
            "replica": replica,
            "new_repository": None if place is None else place.repository,
            "new_reference": None if place is None else place.reference,
        }
        await self._threads.submit(partial(_written, statement=statement, values=values))


def _written(session: Session, statement: Prepared, values: dict[str, Value]) -> None:
    _ADD.run(session.connection, values)
    statement.run(session.connection, values)


def _values(replica: str) -> dict[str, Value]:
    return {"replica": replica, "first_tag": FIRST_TAG}


def _places(connection: Connection, replica: str) -> Places:
    found = _PLACES.run(connection, {"replica": replica}).fetchone()
    if found is None:
        return Places()
    number, reference, whole_number, whole_reference = found
    whole = None if whole_number is None else Place(whole_number, whole_reference or b"")
    return Places(steady=Place(number, reference), whole=whole)


def _clean(columns: Any) -> CleanTag:
    number, name, reference, have = columns
    digest = unpack_digest(have)
    if digest is None:
        raise StoreError("a clean row without a digest was asked for")
    return CleanTag(
        repository=Repository(name), tag=Tag(reference.decode()), have=digest, place=Place(number, reference)
    )
