"""What a list of tags says of the rows that are kept: which tags differ, and whose digest must be asked. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from replicator.deletion import Deletion
from replicator.model import Change, ChangeKind, Digest, Intent, IntentKey, Priority, Repository, Tag
from replicator.observability.labels import DifferenceKind
from replicator.store.sweep_rows import KnownTag


class Routes(Protocol):
    """The rules, as far as comparing needs them."""

    def route(self, change: Change, now: float) -> tuple[Intent, ...]:
        """Return an intent for each replica that the rules send the change to."""
        ...

    def doomed(self, change: Change, now: float) -> tuple[Deletion, ...]:
        """Return what a delete on the primary dooms on replicas."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Tags of a repository as the primary listed them, with digests where it told them: all of a range of names.

    `began_at` is when the list was begun (Unix seconds), `whole` whether a tag that is not in it is surely gone.
    `compared` says that the repository was compared before under the same rules, so that a tag nobody knows of is
    news, and not what was there all along.
    """

    repository: Repository
    tags: Mapping[Tag, Digest | None]
    began_at: float
    whole: bool
    compared: bool


@dataclass(frozen=True, slots=True)
class Difference:
    """One tag that differs on one replica, and the intent that makes it equal; none for a tag that is gone."""

    kind: DifferenceKind
    key: IntentKey
    intent: Intent | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A tag whose digest tells which rows are clean.

    `held` is what replicas hold, or need not hold by decision, with the intents to mend them.
    """

    tag: Tag
    held: tuple[tuple[Intent, Digest], ...]

    @property
    def known(self) -> Digest:
        """The digest that most replicas hold: the likeliest answer."""
        return Counter(digest for _, digest in self.held).most_common(1)[0][0]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs for certain, and what to ask to know the rest."""

    differences: tuple[Difference, ...]
    questions: tuple[Question, ...]


def compare(listed: Listed, known: Iterable[KnownTag], routes: Routes) -> Comparison:
    """Hold a list against the rows of its range.

    Rows that are owed, or that will be looked at anyway, differ in nothing: they are worked on. Nor do those that
    somebody ignores, until the primary names something else. A row of other rules than today's is backfill.
    """
    rows: dict[Tag, dict[str, KnownTag]] = {}
    for one in known:
        rows.setdefault(one.tag, {})[one.replica] = one
    differences: list[Difference] = []
    questions: list[Question] = []
    for tag, digest in listed.tags.items():
        held: list[tuple[Intent, Digest]] = []
        intents = _intents(listed, tag, digest, routes)
        of_tag = rows.get(tag, {})
        for intent in intents:
            row = of_tag.get(intent.key.replica)
            kind = _kind(listed, row, intent, told=bool(of_tag))
            if kind is not None:
                differences.append(_difference(kind, intent))
            elif row is not None and row.settled is not None and digest is None and not (row.owed or row.looking):
                held.append((intent, row.settled))
        if held:
            questions.append(Question(tag, tuple(held)))
    if listed.whole:
        for tag in rows.keys() - listed.tags.keys():
            differences += _gone(listed, tag, rows[tag], routes)
    return Comparison(tuple(differences), tuple(questions))


def answered(question: Question, named: Digest | None) -> tuple[Difference, ...]:
    """Return what differs now that the primary said what the tag names; nothing where it is gone meanwhile."""
    if named is None:
        return ()
    return tuple(
        Difference(DifferenceKind.STALE, intent.key, replace(intent, digest=named))
        for intent, have in question.held
        if have != named
    )


def still(differences: Sequence[Difference], known: Iterable[KnownTag]) -> tuple[Difference, ...]:
    """Return those of `differences` that rows read later do not settle: a webhook may have been on its way."""
    rows = {(row.replica, row.tag): row for row in known}

    def is_left(one: Difference) -> bool:
        row = None if isinstance(one.key.reference, Digest) else rows.get((one.key.replica, one.key.reference))
        if row is None or one.intent is None or one.kind is DifferenceKind.BACKFILL:
            return True
        arrived = row.ignored if row.settled is None else one.intent.digest in {None, row.settled}
        return not (row.owed or row.looking or arrived)

    return tuple(one for one in differences if is_left(one))


def _intents(listed: Listed, tag: Tag, digest: Digest | None, routes: Routes) -> tuple[Intent, ...]:
    change = Change(
        kind=ChangeKind.PUSH,
        repository=listed.repository,
        reference=tag,
        digest=digest,
        happened_at=listed.began_at,
    )
    return routes.route(change, listed.began_at)


def _kind(listed: Listed, row: KnownTag | None, intent: Intent, *, told: bool) -> DifferenceKind | None:
    if row is None:
        # One event makes the rows of all replicas at once: where some have one, it is the rules that changed.
        return DifferenceKind.MISSING if listed.compared and not told else DifferenceKind.BACKFILL
    if row.fingerprint != intent.fingerprint and not row.ignored:
        return DifferenceKind.BACKFILL
    if row.owed or row.looking:
        return None
    if row.settled is None:
        # Of what is ignored without anybody knowing its digest no comparison can say that it is something else now.
        return None if row.ignored else DifferenceKind.MISSING
    return DifferenceKind.STALE if intent.digest not in {None, row.settled} else None


def _difference(kind: DifferenceKind, intent: Intent) -> Difference:
    if kind is DifferenceKind.BACKFILL:
        intent = replace(intent, priority=Priority.LOW, backfill=True)
    return Difference(kind, intent.key, intent)


def _gone(listed: Listed, tag: Tag, rows: Mapping[str, KnownTag], routes: Routes) -> list[Difference]:
    """Return what replicas hold by today's rules and the primary does not; what a rule left behind is not gone."""
    return [
        Difference(DifferenceKind.EXTRA, intent.key)
        for intent in _intents(listed, tag, None, routes)
        if (row := rows.get(intent.key.replica)) is not None
        and row.have is not None
        and row.fingerprint == intent.fingerprint
        and not row.owed
        and not row.looking
    ]


def doomed(differences: Sequence[Difference], routes: Routes, now: float) -> tuple[Deletion, ...]:
    """Return what is to be deleted of the tags that the primary lost, as far as the rules say so."""
    lost = {one.key for one in differences if one.kind is DifferenceKind.EXTRA}
    found: dict[IntentKey, Deletion] = {}
    for key in lost:
        change = Change(kind=ChangeKind.DELETE, repository=key.repository, reference=key.reference)
        found.update((one.key, one) for one in routes.doomed(change, now))
    return tuple(found[key] for key in sorted(lost & found.keys(), key=str))
