"""What people do at the primary of a simulated run, and what is told of it: late, doubled, out of order or never."""

import random
from collections.abc import Sequence

from replicator import referrers
from replicator.manifest import parse
from replicator.model import Change, ChangeKind, Digest, RawManifest, Reference, Repository, Tag
from replicator.routing import Router
from tests.simulation.content import PARENTS, REPOSITORIES, SIGNATURES, TAGS
from tests.support.content import Content, Index, make_image
from tests.unit.replication.rig import Rig

_LATE, _LOST = 0.15, 0.9
"""Below the one chance an event comes after others, above the other it may never come."""


class Primary:
    """The primary, its users, and the webhooks that are on their way.

    `doomed` says from when on a reference that was deleted may be deleted on replicas, `lost` which manifests were
    deleted by their digest, are not there again, and that it was told. `alone` are those there that were told by
    their digest, `referring` all referrers that are there. With `lossy` also events of pushed tags are lost.
    """

    def __init__(self, rig: Rig, rng: random.Random, contents: Sequence[Content], *, lossy: bool) -> None:
        self._rig = rig
        self._rng = rng
        self._router = Router(rig.settings)
        self.contents = contents
        self._lossy = lossy
        self._late: list[tuple[Repository, Tag, Content]] = []
        self._untold: list[Change] = []
        self.doomed: dict[tuple[Repository, Reference], float] = {}
        self.lost: set[tuple[Repository, Digest]] = set()
        self.alone: set[tuple[Repository, Digest]] = set()
        self.referring: set[tuple[Repository, Digest, Digest]] = set()

    def holds(self, repository: Repository, digest: Digest) -> bool:
        """Say whether a manifest is there."""
        return (repository, digest) in self._rig.source.manifests

    async def wait(self, seconds: float) -> None:
        """Let time pass for whoever asks, while all else goes on."""
        await self._rig.clock.sleep(seconds)

    # Pushes

    async def push(self, *, early: bool, times: int) -> None:
        """Push; an early event is told before the tag is written, as Distribution does."""
        repository, tag = self._rng.choice(REPOSITORIES), self._rng.choice(TAGS)
        content = self._rng.choice(self.contents)
        await self._push_below(repository, content)
        if early:
            self._late.append((repository, tag, content))
        else:
            self._hold(repository, content, tag)
        for _ in range(times):
            await self._hear(push_of(repository, tag, content.digest))

    async def push_as(self, repository: Repository, tag: Tag, content: Content, *, told: bool = False) -> None:
        """Push just that; an event that is `told` comes at once."""
        await self._push_below(repository, content)
        self._hold(repository, content, tag)
        await self._hear(push_of(repository, tag, content.digest), told=told)

    async def push_untagged(
        self, content: Content, repository: Repository | None = None, *, told: bool = False
    ) -> Repository:
        """Push by digest only, somewhere or there; events that are `told` come at once."""
        where = repository or self._rng.choice(REPOSITORIES)
        await self._push_below(where, content, told=told)
        await self._push_alone(where, content, told=told)
        return where

    async def _push_below(self, repository: Repository, content: Content, *, told: bool = False) -> None:
        self._hold(repository, content)
        for one in content.manifests()[:-1]:
            await self._push_alone(repository, one, told=told)

    async def _push_alone(self, repository: Repository, one: Content, *, told: bool) -> None:
        self.alone.add((repository, one.digest))
        await self._hear(push_of(repository, one.digest), told=told)

    async def sign(self, *, early: bool) -> None:
        """Replace what is under a tag of cosign."""
        repository, content = self._rng.choice(REPOSITORIES), self._rng.choice(SIGNATURES)
        tag = referrers.cosign_tags(self._any_manifest().digest)[0]
        if early:
            self._late.append((repository, tag, content))
        else:
            self._hold(repository, content, tag)
        await self._hear(push_of(repository, tag, content.digest))

    async def attach(self) -> None:
        """Push what refers to an image; where there is no API the client keeps the list."""
        repository, subject = self._rng.choice(REPOSITORIES), self._any_manifest()
        named = {"mediaType": subject.media_type, "digest": str(subject.digest), "size": len(subject.body)}
        one = make_image(f"referrer {self._rng.randrange(4)}", [300], extra={"subject": named})
        self._hold(repository, one)
        self.referring.add((repository, one.digest, subject.digest))
        await self._tell(push_of(repository, one.digest))
        entries = [referrers.entry_of(RawManifest(one.media_type, one.digest, one.body))]
        await self._write_list(
            repository, subject.digest, referrers.merge(self._list(repository, subject.digest), entries)
        )

    def _any_manifest(self) -> Content:
        """Return what is signed, or referred to: something that is pushed, or a child of it."""
        return self._rng.choice(self._rng.choice(self.contents).manifests())

    def write_late_tags(self) -> None:
        """Write the tags of which was told already."""
        # Within a minute: later than the last look nobody but a sweep could find it.
        for repository, tag, content in self._late:
            self._hold(repository, content, tag)
        self._late.clear()

    def _hold(self, repository: Repository, content: Content, tag: Tag | None = None) -> None:
        self._rig.source.hold(repository, content, tag)
        self.lost -= {(repository, one.digest) for one in content.manifests()}

    # Deletes

    async def delete_tag(self) -> None:
        """Delete a tag."""
        repository, tag = self._rng.choice(REPOSITORIES), self._rng.choice(TAGS)
        if self._rig.source.tags.pop((repository, tag), None) is None:
            return
        self._doom(repository, tag)
        await self._hear(Change(kind=ChangeKind.DELETE, repository=repository, reference=tag))

    async def delete_manifest(self) -> None:
        """Delete a manifest by its digest, with all tags that name it; none that an index lists, as people do."""
        repository = self._rng.choice(REPOSITORIES)
        pushed = (*self.contents, *PARENTS, *SIGNATURES)
        known = {one.digest for content in pushed for one in content.manifests()}
        if left := sorted(self._unlisted(repository) & known):
            await self._delete(repository, self._rng.choice(left))

    async def delete_again(self, repository: Repository, digest: Digest, *, told: bool = False) -> None:
        """Delete what was pushed before, unless an index lists it by now; an event that is `told` comes at once."""
        if digest in self._unlisted(repository):
            await self._delete(repository, digest, told=told)

    async def clear_out(self, repository: Repository, content: Content) -> None:
        """Delete an image, or an index and then all below it that no other index lists."""
        for one in reversed(content.manifests()):
            await self.delete_again(repository, one.digest)

    def forget(self, repository: Repository, content: Index) -> None:
        """Delete an index, and those below it that nothing else lists, without a word; what they list stays."""
        for one in reversed(content.manifests()):
            if isinstance(one, Index) and one.digest in self._unlisted(repository):
                self._remove(repository, one.digest)

    def _unlisted(self, repository: Repository) -> set[Digest]:
        held = {digest: raw for (where, digest), raw in self._rig.source.manifests.items() if where == repository}
        return held.keys() - {
            child.digest for raw in held.values() for child in parse(raw, registry="primary").children
        }

    async def detach(self) -> None:
        """Delete what refers to an image; where there is no API the client takes it off the list first."""
        if not self.referring:
            return
        repository, digest, subject = found = self._rng.choice(sorted(self.referring))
        self.referring.remove(found)
        held = self._list(repository, subject)
        await self._write_list(repository, subject, None if held is None else referrers.without(held, [digest]))
        await self._delete(repository, digest)

    async def _delete(self, repository: Repository, digest: Digest, *, told: bool = False) -> None:
        self._remove(repository, digest)
        for _ in range(self._rng.choice([1, 1, 2])):
            await self._hear(Change(kind=ChangeKind.DELETE, repository=repository, reference=digest), told=told)

    def _remove(self, repository: Repository, digest: Digest) -> None:
        source = self._rig.source
        del source.manifests[repository, digest]
        named = [key for key, one in source.tags.items() if (key[0], one) == (repository, digest)]
        for key in named:
            del source.tags[key]
            self._doom(*key)
        self._doom(repository, digest)
        self.alone.discard((repository, digest))  # under a tag it may come back without a word of itself

    def _doom(self, repository: Repository, reference: Reference) -> None:
        # A push in between cancels it only where it is seen, so what counts is the first delete.
        self.doomed.setdefault((repository, reference), self._rig.clock.now() + self._rig.settings.deletes.grace)

    # Lists of referrers

    def _list(self, repository: Repository, subject: Digest) -> RawManifest | None:
        held = self._rig.source.tags.get((repository, referrers.fallback_tag(subject)))
        return None if held is None else self._rig.source.manifests[repository, held]

    async def _write_list(self, repository: Repository, subject: Digest, written: RawManifest | None) -> None:
        source, tag = self._rig.source, referrers.fallback_tag(subject)
        if source.has_referrers_api or written is None:
            return
        source.manifests[repository, written.digest] = written
        source.tags[repository, tag] = written.digest
        await self._tell(push_of(repository, tag, written.digest))

    # Events

    async def tell_some(self) -> None:
        """Tell of some of what is on its way, in any order."""
        await self._tell_of(self._rng.randrange(len(self._untold) + 1))

    async def tell_all(self) -> None:
        """Tell of all that is on its way."""
        await self._tell_of(len(self._untold))

    async def _tell_of(self, count: int) -> None:
        self._rng.shuffle(self._untold)
        for _ in range(count):
            await self._tell(self._untold.pop())

    async def _hear(self, change: Change, *, told: bool = False) -> None:
        """Let an event come: now, as it does where it is `told`, after others, or never."""
        chance = _LOST if told else self._rng.random()
        if chance < _LATE:
            self._untold.append(change)
        elif chance <= _LOST or not self._may_be_lost(change):
            await self._tell(change)

    def _may_be_lost(self, change: Change) -> bool:
        """Say whether no invariant is broken when nobody hears of it."""
        return change.kind is ChangeKind.DELETE or (self._lossy and not isinstance(change.reference, Digest))

    async def _tell(self, change: Change) -> None:
        repository, reference, now = change.repository, change.reference, self._rig.clock.now()
        if change.kind is not ChangeKind.DELETE:
            await self._rig.store.record(self._router.route(change, now))
            return
        await self._rig.store.add_deletions(self._router.doomed(change, now))
        if isinstance(reference, Digest) and (repository, reference) not in self._rig.source.manifests:
            self.lost.add((repository, reference))


def push_of(repository: Repository, reference: Reference, digest: Digest | None = None) -> Change:
    """Return the event of a push."""
    return Change(kind=ChangeKind.PUSH, repository=repository, reference=reference, digest=digest)
