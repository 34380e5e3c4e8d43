"""The decision that replicas need not have what a reference names now, and its end."""

from collections.abc import Sequence
from enum import StrEnum

import anyio

from replicator.admin.documents import DecidedReplica, IgnoreDocument
from replicator.admin.ports import Decisions, Source
from replicator.admin.queries import IgnoreBody
from replicator.admin.reference import ref_text
from replicator.errors import ContentError, RegistryError
from replicator.model import Digest, IntentKey, Reference, Repository
from replicator.store.rows import Row

_PRIMARY_WITHIN = 5.0


class IgnoreResult(StrEnum):
    """What came of it on one replica; the last three of taking it back."""

    IGNORED = "ignored"
    WAS_IGNORED = "was_ignored"
    NOT_OWED = "not_owed"
    OWED = "owed"
    KNOWN = "known"
    NOT_IGNORED = "not_ignored"


DONE = frozenset({IgnoreResult.IGNORED, IgnoreResult.WAS_IGNORED, IgnoreResult.OWED, IgnoreResult.KNOWN})
"""It is as was asked for."""


async def decide(store: Decisions, source: Source, body: IgnoreBody, every: Sequence[str]) -> IgnoreDocument:
    """Ignore a reference on the replicas named or on `every` one, or take that back. Raises StoreError.

    The decision is about the digest that the primary names now, where it can be asked.
    """
    keys = [IntentKey(name, *body.ref) for name in dict.fromkeys(body.replicas or every)]
    results = await (_heed(store, keys) if body.undo else _ignore(store, source, body, keys))
    replicas = [DecidedReplica(replica=key.replica, result=str(results[key])) for key in keys]
    return IgnoreDocument(ref=ref_text(*body.ref), undo=body.undo, replicas=replicas)


async def _ignore(
    store: Decisions, source: Source, body: IgnoreBody, keys: Sequence[IntentKey]
) -> dict[IntentKey, IgnoreResult]:
    before = {key: await store.row(key) for key in keys}
    if not any(row is not None and row.owed for row in before.values()):
        return {key: _unchanged(row) for key, row in before.items()}
    done = await store.ignore(keys, await _named(source, *body.ref))
    return {key: IgnoreResult.IGNORED if key in done else _unchanged(row) for key, row in before.items()}


async def _heed(store: Decisions, keys: Sequence[IntentKey]) -> dict[IntentKey, IgnoreResult]:
    came = await store.heed(keys)
    results = dict.fromkeys(keys, IgnoreResult.NOT_IGNORED)
    for key in came:
        row = await store.row(key)
        results[key] = IgnoreResult.OWED if row is not None and row.owed else IgnoreResult.KNOWN
    return results


def _unchanged(row: Row | None) -> IgnoreResult:
    return IgnoreResult.WAS_IGNORED if row is not None and row.ignored_at is not None else IgnoreResult.NOT_OWED


async def _named(source: Source, repository: Repository, reference: Reference) -> Digest | None:
    """Return what the primary names now, None where it does not say in time: then the last change's word counts."""
    if isinstance(reference, Digest):
        return reference
    with anyio.move_on_after(_PRIMARY_WITHIN):
        try:
            found = await source.stat_manifest(repository, reference)
        except (RegistryError, ContentError):
            return None
        return None if found is None else found.digest
    return None
