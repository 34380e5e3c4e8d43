"""What replicas hold, read from the replicas themselves, as the rows that a sweep compares a list with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import anyio

from replicator.clock import Clock
from replicator.conflict import TagOnReplica, is_foreign
from replicator.errors import ContentError, RegistryError
from replicator.forecast.ports import ReadReplica
from replicator.model import Change, ChangeKind, Digest, Repository, Tag, parse_repository
from replicator.replication.held import held_digest
from replicator.store.sweep_rows import KnownTag
from replicator.sweep.compare import Routes
from replicator.sweep.ports import KnownTags
from replicator.together import together

AT_ONCE = 8
"""Tags asked for at once at one replica."""


class Replica:
    """One replica: its client, and where repositories of the primary stand there."""

    def __init__(self, client: ReadReplica, prefix: str) -> None:
        self.client = client
        self.prefix = prefix

    def target(self, repository: Repository) -> Repository:
        """Return the replica's name of a repository."""
        return parse_repository(self.prefix + repository)


class ReplicaRows:
    """The tags of replicas as they are now, and what an operator `decided` that they need not have.

    What could not be asked is told to `on_trouble`, and has no rows.
    """

    def __init__(
        self,
        replicas: Mapping[str, Replica],
        routes: Routes,
        clock: Clock,
        decided: KnownTags,
        on_trouble: Callable[[str, Repository, RegistryError | ContentError], None],
    ) -> None:
        self._replicas = replicas
        self._routes = routes
        self._clock = clock
        self._decided = decided
        self._on_trouble = on_trouble
        self._listed: tuple[Repository, dict[str, list[Tag]]] = (Repository(""), {})
        self._held: dict[tuple[str, Tag], Digest | None] = {}
        self._put: dict[tuple[str, Tag], Digest | None] = {}
        self._asking = {name: anyio.CapacityLimiter(AT_ONCE) for name in replicas}

    async def tags(
        self, replicas: Sequence[str], name: Repository, *, after: Tag | None = None, upto: Tag | None = None
    ) -> tuple[KnownTag, ...]:
        """Return what the replicas hold of the tags behind `after` up to and with `upto`, or need not hold."""
        if self._listed[0] != name:
            self._listed = (name, {})
        found = await together([partial(self._of_one, replica, name, after, upto) for replica in replicas])
        known = {(row.replica, row.tag): row for rows in found for row in rows}
        remembered = await self._decided.tags(replicas, name, after=after, upto=upto)
        self._held = {key: row.have for key, row in known.items()}
        self._put = {(row.replica, row.tag): row.have for row in remembered}
        for row in remembered:
            if row.ignored:
                there = known.get((row.replica, row.tag))
                have = None if there is None else there.have
                known[row.replica, row.tag] = replace(row, have=have, owed=False, looking=False)
        return tuple(known.values())

    def is_foreign(self, replica: str, tag: Tag, wanted: Digest) -> bool:
        """Say whether somebody else put what a tag of the last range names, as far as the store remembers."""
        held, put = self._held.get((replica, tag)), self._put.get((replica, tag))
        return is_foreign(TagOnReplica(held=held, wanted=wanted, have=put, doubtful=False), every_put_noted=False)

    async def _of_one(self, replica: str, name: Repository, after: Tag | None, upto: Tag | None) -> list[KnownTag]:
        try:
            tags = [
                tag
                for tag in await self._all(replica, name)
                if (after is None or tag > after) and (upto is None or tag <= upto)
            ]
            rows = await together([partial(self._row, replica, name, tag) for tag in tags])
        except (RegistryError, ContentError) as error:
            self._on_trouble(replica, name, error)
            return []
        return [row for row in rows if row is not None]

    async def _all(self, replica: str, name: Repository) -> list[Tag]:
        """Return all tags there; none where there is no such repository, which is no trouble."""
        listed = self._listed[1]
        if replica not in listed:
            one = self._replicas[replica]
            listed[replica] = list((await one.client.all_tags(one.target(name))).tags)
        return listed[replica]

    async def _row(self, replica: str, name: Repository, tag: Tag) -> KnownTag | None:
        now = self._clock.now()
        change = Change(kind=ChangeKind.PUSH, repository=name, reference=tag, digest=None, happened_at=now)
        intents = [one for one in self._routes.route(change, now) if one.key.replica == replica]
        if not intents:
            return None  # no rule sends it there, so that nothing is said of it
        one = self._replicas[replica]
        async with self._asking[replica]:
            have: Digest | None = await held_digest(one.client, one.target(name), tag)
        return KnownTag(
            replica=replica, tag=tag, have=have, owed=False, looking=False, fingerprint=intents[0].fingerprint
        )
