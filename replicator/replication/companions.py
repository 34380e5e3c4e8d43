"""What belongs to an image without being part of it: found at the source, with all that it needs (R1-R7).

Referrers of its manifests and of what refers to them in turn, by the referrers API and by fallback tags, and cosign's
tags. One list of tags tells which of those there are; only where that is too long each is asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from replicator import manifest as manifests
from replicator import referrers
from replicator.errors import ContentError, NotFound, Reason, RegistryError
from replicator.manifest import Closure
from replicator.model import Digest, RawManifest, Reference, Repository, Tag
from replicator.replication.ports import Source
from replicator.replication.survey import MAX_MANIFESTS, ManifestCache, read_closure
from replicator.replication.together import together

MOST_TAGS = 1000
"""Tags of a repository up to which they are listed: what comes in one answer."""


@dataclass(frozen=True, slots=True)
class Companion:
    """Something that belongs to an image; `subject` is what it is listed under (None: it goes by a tag alone)."""

    reference: Reference
    closure: Closure
    subject: Digest | None

    @property
    def raw(self) -> RawManifest:
        """Its top manifest."""
        return self.closure.top.raw


@dataclass(slots=True)
class Found:
    """Companions in `levels`: those of one refer to the image or to what is in the levels before.

    `unusable` are references to what cannot be read or must not be copied, and why.
    """

    levels: list[tuple[Companion, ...]] = field(default_factory=list)
    unusable: dict[Reference, RegistryError | ContentError] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.levels or self.unusable)


@dataclass(frozen=True, slots=True)
class _Named:
    """A companion that was named and not yet read."""

    reference: Reference
    subject: Digest | None


async def find_companions(
    source: Source, repository: Repository, digests: Iterable[Digest], cache: ManifestCache
) -> Found:
    """Return all that belongs to the manifests `digests`.

    Raises RegistryError when the source cannot say; ContentError when there is more than can be safe (S9).
    """
    finder = _Finder(source, repository, cache, await source.few_tags(repository, MOST_TAGS))
    await finder.follow(dict.fromkeys(digests))
    return finder.found


async def find_listed(source: Source, repository: Repository, listing: RawManifest, cache: ManifestCache) -> Found:
    """Return what the index `listing` names, and what belongs to that. Raises as find_companions.

    Raises ContentError too when it is no list of referrers.
    """
    if not referrers.is_list(listing, None):
        raise ContentError(
            f"{source.name}: {listing.digest} in {repository} is no list of referrers but {listing.media_type}",
            registry=source.name,
            reason=Reason.UNSUPPORTED,
        )
    finder = _Finder(source, repository, cache, await source.few_tags(repository, MOST_TAGS))
    named = manifests.parse(listing, registry=source.name).children
    await finder.follow(await finder.take(_Named(child.digest, None) for child in named))
    return finder.found


class _Finder:
    """One search; fills `found` level by level."""

    def __init__(
        self, source: Source, repository: Repository, cache: ManifestCache, tags: frozenset[Tag] | None
    ) -> None:
        self._source = source
        self._repository = repository
        self._cache = cache
        self._tags = tags
        self.found = Found()

    async def follow(self, level: Iterable[Digest]) -> None:
        """Find what belongs to the manifests of `level`, and to those found, until nothing more is named."""
        seen: set[Digest] = set()
        for depth in count():
            subjects = [digest for digest in level if digest not in seen]
            if not subjects:
                return
            if depth > manifests.MAX_DEPTH:
                raise self._unsafe(f"referrers of referrers go deeper than {manifests.MAX_DEPTH}")
            seen.update(subjects)
            if len(seen) > MAX_MANIFESTS:
                raise self._unsafe(f"more than {MAX_MANIFESTS} manifests belong to one another")
            named = await together([partial(self._named_for, subject) for subject in subjects])
            level = await self.take(one for some in named for one in some)

    async def take(self, named: Iterable[_Named]) -> dict[Digest, None]:
        """Read what was named, as one level, and return the digests of all its manifests."""
        read = await together([partial(self._read, one) for one in dict.fromkeys(named)])
        companions = tuple(one for one in read if one is not None)
        if companions:
            self.found.levels.append(companions)
        return dict.fromkeys(one.raw.digest for each in companions for one in each.closure.manifests)

    async def _listed_under(self, tag: Tag, subject: Digest) -> tuple[Digest, ...]:
        """Return what the index under a fallback tag names; what is no such index is unusable (R3)."""
        try:
            raw = await self._source.read_manifest(self._repository, tag)
            if raw.digest == subject:
                return ()  # GitLab takes such a tag for the digest itself
            if referrers.is_list(raw, subject):
                return tuple(child.digest for child in manifests.parse(raw, registry=self._source.name).children)
            self.found.unusable[tag] = ContentError(
                f"{self._source.name}: {self._repository}:{tag} is no list of referrers but {raw.media_type}",
                registry=self._source.name,
                reason=Reason.UNSUPPORTED,
            )
        except NotFound:
            pass
        except ContentError as error:
            self.found.unusable[tag] = error
        return ()

    async def _named_for(self, subject: Digest) -> tuple[_Named, ...]:
        listed = await self._source.referrers(self._repository, subject)
        digests = tuple(entry.digest for entry in listed or ())
        fallback = referrers.fallback_tag(subject)
        # Also where there is an API: it does not always know what was pushed before it was there.
        if not digests and self._may_exist(fallback):
            digests = await self._listed_under(fallback, subject)
        tags = filter(self._may_exist, referrers.cosign_tags(subject))
        return (*(_Named(digest, subject) for digest in digests), *(_Named(tag, None) for tag in tags))

    def _may_exist(self, tag: Tag) -> bool:
        return self._tags is None or tag in self._tags

    async def _read(self, named: _Named) -> Companion | None:
        """Return a companion with its closure; None when it is not there any more, or unusable."""
        try:
            raw = await self._top(named.reference)
        except NotFound:
            return None
        except (RegistryError, ContentError) as error:
            self._give_up(named, error)
            return None
        try:
            closure = await read_closure(self._source, self._repository, raw, self._cache)
        except (RegistryError, ContentError) as error:
            self._give_up(named, error)
            return None
        subject = named.subject
        if subject is None and isinstance(named.reference, Digest) and closure.top.subject is not None:
            subject = closure.top.subject.digest
        return Companion(named.reference, closure, subject)

    async def _top(self, reference: Reference) -> RawManifest:
        cached = self._cache.get(reference) if isinstance(reference, Digest) else None
        return await self._source.read_manifest(self._repository, reference) if cached is None else cached.raw

    def _give_up(self, named: _Named, error: RegistryError | ContentError) -> None:
        if error.temporary:
            raise error
        self.found.unusable[named.reference] = error

    def _unsafe(self, problem: str) -> ContentError:
        name = self._source.name
        return ContentError(f"{name}: {self._repository}: {problem}", registry=name, reason=Reason.UNSUPPORTED)
