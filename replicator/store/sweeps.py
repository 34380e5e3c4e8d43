"""The part of the store that sweeps work with: where each comparison stands, and the rows of one repository."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from replicator.model import Repository, Tag
from replicator.store import sweep_statements as statements
from replicator.store.encoding import FIRST_TAG, pack_reference, unpack_digest
from replicator.store.event_log import lately
from replicator.store.prepared import Connection, Prepared, Value
from replicator.store.session import Session
from replicator.store.sweep_rows import KnownTag, SweepSummary, Swept

PAGE = 200
"""Rows changed at most in one operation, so that acknowledgements never wait long behind a large one."""
_ROWS = 1000
_LATELY = 10_000  # more hardly come within the ten seconds between two takings over of what webhooks told
_LAST = b"\xff"
T = TypeVar("T")


class Threads(Protocol):
    """The threads of a store: one that writes, one that reads. Both raise StoreError."""

    async def submit(self, operation: Callable[[Session], T]) -> T:
        """Run an operation; on return it is committed and synced."""
        ...

    async def ask(self, query: Callable[[Connection], T]) -> T:
        """Run a question."""
        ...


class Sweeps:
    """Keeps where the comparisons of one primary stand. All methods raise StoreError."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    async def due(self, now: float, limit: int) -> tuple[Swept, ...]:
        """Return repositories to compare, the longest due first."""
        found = await self._threads.ask(lambda one: statements.DUE.run(one, {"now": now, "count": limit}).fetchall())
        return tuple(map(_swept, found))

    async def one(self, name: Repository) -> Swept | None:
        """Return where one repository stands."""
        found = await self._threads.ask(lambda one: statements.ONE.run(one, {"name": name}).fetchone())
        return None if found is None else _swept(found)

    async def next_due(self) -> float | None:
        """Return when the next repository is to be compared, None when none is known."""
        found = await self._threads.ask(lambda one: statements.NEXT.run(one, {}).fetchone()[0])
        return None if found is None else float(found)

    async def summary(self) -> SweepSummary:
        """Return how far all comparisons are."""
        count, tags_at, digests_at = await self._threads.ask(lambda one: statements.SUMMARY.run(one, {}).fetchone())
        return SweepSummary(repositories=count, tags_at=tags_at, digests_at=digests_at)

    async def keep(self, swept: Sequence[Swept]) -> None:
        """Keep where comparisons stand."""
        for page in _pages(swept):
            await self._threads.submit(partial(_keep, swept=page))

    async def found(self, names: Iterable[Repository], now: float) -> None:
        """Have repositories compared from `now` on, unless they are already."""
        for page in _pages(tuple(names)):
            await self._threads.submit(partial(_add, names=page, now=now))

    async def changed(self, at: Sequence[tuple[Repository, float]], *, soon: float) -> None:
        """Note when something changed in repositories, and have them compared by `soon`."""
        for page in _pages(at):
            await self._threads.submit(partial(_change, at=page, soon=soon))

    async def told_lately(self) -> Mapping[Repository, float]:
        """Return when repositories changed by the newest events that were kept: it outlives a kill, as they do."""
        return await self._threads.ask(partial(lately, count=_LATELY))

    async def forget(self, name: Repository) -> None:
        """Compare a repository no more."""
        await self._threads.submit(partial(_forget, name=name))

    async def after_gap(self, since: float) -> None:
        """Have the digests of all that changed since then compared first, the latest before the others."""
        await self._threads.submit(partial(_execute, statement=statements.AFTER_GAP, values={"since": since}))

    async def no_later(self, pause: float) -> None:
        """Have every repository compared `pause` seconds after its last comparison at the latest."""
        await self._threads.submit(partial(_execute, statement=statements.NO_LATER, values={"pause": pause}))

    async def rescoped(self, scope: str, now: float) -> None:
        """Have all that was last compared under other rules than `scope` compared now."""
        values: dict[str, Value] = {"new_scope": scope, "now": now}
        await self._threads.submit(partial(_execute, statement=statements.RESCOPED, values=values))

    async def unswept(self, replica: str, after: int = 0, limit: int = PAGE) -> tuple[tuple[int, Repository], ...]:
        """Return repositories, by number from behind `after`, of which a replica has rows and nothing is compared."""
        values: dict[str, Value] = {"replica": replica, "after": after, "count": limit}
        found = await self._threads.ask(lambda one: statements.UNSWEPT.run(one, values).fetchall())
        return tuple((number, Repository(name)) for number, name in found)

    async def tags(
        self, replicas: Sequence[str], name: Repository, *, after: Tag | None = None, upto: Tag | None = None
    ) -> tuple[KnownTag, ...]:
        """Return what is known of the tags behind `after` up to and with `upto`, on these replicas."""
        return await self._threads.ask(known_tags(replicas, name, after=after, upto=upto))


def known_tags(
    replicas: Sequence[str], name: Repository, *, after: Tag | None = None, upto: Tag | None = None
) -> Callable[[Connection], tuple[KnownTag, ...]]:
    """Return the question for the tags behind `after` up to and with `upto`, on these replicas."""
    low = FIRST_TAG[:-1] + bytes([FIRST_TAG[-1] - 1]) + _LAST if after is None else pack_reference(after)
    high = _LAST if upto is None else pack_reference(upto)
    return partial(_tags, replicas=replicas, name=name, low=low, high=high)


def _pages(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + PAGE] for start in range(0, len(items), PAGE))


def _key(session: Session, name: Repository) -> dict[str, Value]:
    return {"key_repository": session.repository(name)}


def _execute(session: Session, statement: Prepared, values: dict[str, Value]) -> None:
    statement.run(session.connection, values)


def _forget(session: Session, name: Repository) -> None:
    statements.FORGET.run(session.connection, _key(session, name))


def _add(session: Session, names: Sequence[Repository], now: float) -> None:
    times: dict[str, Value] = {"now": now, "new_next": now, "new_changed": None}
    statements.FOUND.run_each(session.connection, [{**_key(session, name), **times} for name in names])


def _change(session: Session, at: Sequence[tuple[Repository, float]], soon: float) -> None:
    statements.CHANGED.run_each(
        session.connection,
        [{**_key(session, name), "now": when, "new_changed": when, "new_next": soon} for name, when in at],
    )


def _keep(session: Session, swept: Sequence[Swept]) -> None:
    statements.KEEP.run_each(session.connection, (_values(session, one) for one in swept))


def _values(session: Session, swept: Swept) -> dict[str, Value]:
    return {
        **_key(session, swept.repository),
        "new_next": swept.next_at,
        "new_changed": swept.changed_at,
        "new_swept": swept.swept_at,
        "new_full": swept.full_at,
        "new_full_next": swept.full_next_at,
        "new_full_began": swept.full_began_at,
        "new_progress": swept.progress,
        "new_scope": swept.scope,
        "new_gone": swept.gone,
        "new_failures": swept.failures,
    }


def _tags(
    connection: Connection, replicas: Sequence[str], name: Repository, low: bytes, high: bytes
) -> tuple[KnownTag, ...]:
    found = statements.FIND.run(connection, {"name": name}).fetchone()
    if found is None:
        return ()
    known: list[KnownTag] = []
    for replica in replicas:
        values: dict[str, Value] = {"replica": replica, "repository": found[0], "upto": high, "count": _ROWS}
        after: bytes | None = low
        while after is not None:
            rows = statements.TAGS.run(connection, {**values, "after": after}).fetchall()
            known += (_known(replica, row) for row in rows)
            after = rows[-1][0] if len(rows) == _ROWS else None
    return tuple(known)


def _known(replica: str, row: Any) -> KnownTag:
    reference, have, owed, verify_at, fingerprint, ignored_at, left_out = row
    return KnownTag(
        replica=replica,
        tag=Tag(reference.decode()),
        have=unpack_digest(have),
        owed=bool(owed),
        looking=verify_at is not None,
        fingerprint=fingerprint,
        ignored=ignored_at is not None,
        left_out=unpack_digest(left_out),
    )


def _swept(columns: Any) -> Swept:
    name, found_at, next_at, full_next_at, changed_at, swept_at, full_at, began_at, progress = columns[:9]
    return Swept(
        repository=Repository(name),
        found_at=found_at,
        next_at=next_at,
        full_next_at=full_next_at,
        changed_at=changed_at,
        swept_at=swept_at,
        full_at=full_at,
        full_began_at=began_at,
        progress=None if progress is None else Tag(progress),
        scope=columns[9],
        gone=columns[10],
        failures=columns[11],
    )
