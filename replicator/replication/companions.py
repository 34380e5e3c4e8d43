"""What belongs to an image without being part of it: found at the source, with all that it needs (R1-R7).

Referrers of its manifests and of what refers to them in turn, by the referrers API and by fallback tags, and cosign's
tags. One list of tags tells which of those there are; only where that is too long each is asked for.
"""

from collections.abc import Iterable, Mapping
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
from replicator.together import together

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

    `unusable` are references to what cannot be read or must not be copied, and why; a fallback tag there stands for
    all that its subject's referrers are.
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
    root: Digest | None


async def find_companions(
    source: Source, repository: Repository, digests: Iterable[Digest], cache: ManifestCache, *, patient: bool = True
) -> Found:
    """Return all that belongs to the manifests `digests`.

    What the source does not tell is unusable, and so is what would be more than can be safe (S9). Raises
    RegistryError for trouble that may pass as long as the image is `patient`.
    """
    finder = await _finder(source, repository, cache, patient=patient)
    await finder.follow({digest: digest for digest in digests})
    return finder.found


async def find_listed(
    source: Source,
    repository: Repository,
    tag: Reference,
    listing: RawManifest | None,
    cache: ManifestCache,
    *,
    patient: bool = True,
) -> Found:
    """Return what belongs to the subject of the fallback `tag`: by the API, and what the index `listing` names.

    Raises as find_companions; ContentError too when `listing` is no list of referrers, or more than can be safe where
    the tag does not tell its subject.
    """
    subject = referrers.subject_of(tag)
    if listing is not None and listing.digest == subject:
        listing = None  # GitLab takes such a tag for the digest itself
    if listing is not None and not referrers.is_list(listing, None):
        raise ContentError(
            f"{source.name}: {listing.digest} in {repository} is no list of referrers but {listing.media_type}",
            registry=source.name,
            reason=Reason.UNSUPPORTED,
        )
    finder = await _finder(source, repository, cache, patient=patient)
    named = () if listing is None else manifests.parse(listing, registry=source.name).children
    if subject is None:
        await finder.follow(await finder.take(_Named(child.digest, None, None) for child in named))
    else:
        await finder.follow({subject: subject}, tuple(child.digest for child in named))
    return finder.found


async def _finder(source: Source, repository: Repository, cache: ManifestCache, *, patient: bool) -> "_Finder":
    try:
        tags = await source.few_tags(repository, MOST_TAGS)
    except RegistryError as error:
        if patient and error.temporary:
            raise
        tags = None
    return _Finder(source, repository, cache, tags, patient=patient)


class _Finder:
    """One search; fills `found` level by level."""

    def __init__(
        self,
        source: Source,
        repository: Repository,
        cache: ManifestCache,
        tags: frozenset[Tag] | None,
        *,
        patient: bool,
    ) -> None:
        self._source = source
        self._repository = repository
        self._cache = cache
        self._tags = tags
        self._patient = patient
        self.found = Found()

    async def follow(self, level: Mapping[Digest, Digest | None], listed: tuple[Digest, ...] = ()) -> None:
        """Find what belongs to the manifests of `level`, and to those found, until nothing more is named.

        Each comes with that of the first level which led to it. `listed` is what the list of the only one names.
        """
        seen: set[Digest] = set()
        for depth in count():
            subjects = {digest: root for digest, root in level.items() if digest not in seen}
            if not subjects:
                return
            if depth > manifests.MAX_DEPTH:
                self._stop(subjects, f"referrers of referrers go deeper than {manifests.MAX_DEPTH}")
                return
            seen.update(subjects)
            if len(seen) > MAX_MANIFESTS:
                self._stop(subjects, f"more than {MAX_MANIFESTS} manifests belong to one another")
                return
            calls = [partial(self._named_for, subject, root, listed) for subject, root in subjects.items()]
            named, listed = await together(calls), ()
            level = await self.take(one for some in named for one in some)

    async def take(self, named: Iterable[_Named]) -> dict[Digest, Digest | None]:
        """Read what was named, as one level, and return the digests of all its manifests, and what led to them."""
        wanted = list(dict.fromkeys(named))
        read = await together([partial(self._read, one) for one in wanted])
        found = [(one, companion) for one, companion in zip(wanted, read, strict=True) if companion is not None]
        if found:
            self.found.levels.append(tuple(companion for _, companion in found))
        return {manifest.raw.digest: one.root for one, companion in found for manifest in companion.closure.manifests}

    async def _by_api(self, subject: Digest) -> tuple[Digest, ...]:
        try:
            listed = await self._source.referrers(self._repository, subject)
        except (RegistryError, ContentError) as error:
            self._give_up(_row_of(subject), error)
            return ()
        return tuple(entry.digest for entry in listed or ())

    async def _listed_under(self, tag: Tag, subject: Digest) -> tuple[Digest, ...]:
        """Return what the index under a fallback tag names; what is no such index is unusable (R3)."""
        try:
            raw = await self._source.read_manifest(self._repository, tag)
            if raw.digest == subject:
                return ()  # GitLab takes such a tag for the digest itself
            if referrers.is_list(raw, subject):
                return tuple(child.digest for child in manifests.parse(raw, registry=self._source.name).children)
            self._give_up(tag, self._unsupported(f":{tag} is no list of referrers but {raw.media_type}"))
        except NotFound:
            pass
        except (RegistryError, ContentError) as error:
            self._give_up(tag, error)
        return ()

    async def _named_for(
        self, subject: Digest, root: Digest | None, listed: tuple[Digest, ...]
    ) -> tuple[_Named, ...]:
        digests = await self._by_api(subject)
        fallback = referrers.fallback_tag(subject)
        # Also where there is an API: it does not always know what was pushed before it was there.
        if not digests and not listed and self._may_exist(fallback):
            digests = await self._listed_under(fallback, subject)
        tags = filter(self._may_exist, referrers.cosign_tags(subject))
        return (
            *(_Named(digest, subject, root) for digest in dict.fromkeys((*digests, *listed))),
            *(_Named(tag, None, root) for tag in tags),
        )

    def _may_exist(self, tag: Tag) -> bool:
        return self._tags is None or tag in self._tags

    async def _read(self, named: _Named) -> Companion | None:
        """Return a companion with its closure; None when it is not there any more, or unusable."""
        try:
            raw = await self._top(named.reference)
        except NotFound:
            return None
        except (RegistryError, ContentError) as error:
            self._give_up(named.reference, error)
            return None
        try:
            closure = await read_closure(self._source, self._repository, raw, self._cache)
        except (RegistryError, ContentError) as error:
            self._give_up(named.reference, error)
            return None
        subject = named.subject
        if subject is None and isinstance(named.reference, Digest) and closure.top.subject is not None:
            subject = closure.top.subject.digest
        return Companion(named.reference, closure, subject)

    async def _top(self, reference: Reference) -> RawManifest:
        cached = self._cache.get(reference) if isinstance(reference, Digest) else None
        return await self._source.read_manifest(self._repository, reference) if cached is None else cached.raw

    def _give_up(self, reference: Reference, error: RegistryError | ContentError) -> None:
        """Let the image go on without what `reference` stands for, unless it is worth a wait."""
        if error.temporary and self._patient:
            raise error
        self.found.unusable.setdefault(reference, error)

    def _stop(self, subjects: Mapping[Digest, Digest | None], problem: str) -> None:
        """Look no further: what led here is to be looked at by an operator."""
        error = self._unsupported(f": {problem}")
        for root in dict.fromkeys(subjects.values()):
            if root is None:
                raise error
            self._give_up(_row_of(root), error)

    def _unsupported(self, problem: str) -> ContentError:
        name = self._source.name
        return ContentError(f"{name}: {self._repository}{problem}", registry=name, reason=Reason.UNSUPPORTED)


def _row_of(subject: Digest) -> Reference:
    """Return the row whose work asks for the referrers of `subject` anew; a tag does not tell all of a sha512."""
    tag = referrers.fallback_tag(subject)
    return tag if referrers.subject_of(tag) == subject else subject
