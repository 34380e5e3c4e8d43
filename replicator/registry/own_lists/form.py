"""What is known of a registry's own list of tags: where it is, what it needs, and how its answers are read. Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from replicator.errors import NameInvalid
from replicator.model import Digest, Repository, Tag, parse_tag, shown
from replicator.registry.authorizer import Challenged
from replicator.registry.capabilities import DigestList
from replicator.registry.http import LogIn
from replicator.registry.origin import Origin, Target
from replicator.registry.scope import Scope

Told = tuple[Tag, Digest]
"""A tag, and the digest that a list says it names."""


class NotAsExpected(ValueError):
    """An answer is not what such a list looks like, so nothing in it is believed; the message is safe to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One kind of list.

    `first` is its URL for so many entries in a page (None: as many as the registry likes), `scopes` are the rights
    that it needs, `log_in` is how to log in for it, `reaches` of which repositories it can be, `suits` whether a
    registry that asks for logins so may have one, and `told` what an answer says of a repository's tags; it raises
    NotAsExpected. Further pages are told by `Link`; those of a list with `goes_on` are numbered, and it says of an
    answer whether another one follows.
    """

    kind: DigestList
    first: Callable[[Origin, Repository, int | None], Target]
    scopes: Callable[[Repository], tuple[Scope, ...]]
    suits: Callable[[Challenged], bool]
    told: Callable[[object, Repository], tuple[Told, ...]]
    reaches: Callable[[Repository], bool] = bool
    log_in: LogIn = LogIn.AS_ASKED
    goes_on: Callable[[object], bool] | None = None


def told_of(name: object, digest: object) -> Told:
    """Return what an entry of a list tells. Raises NotAsExpected unless both are text of the right grammar."""
    if not isinstance(name, str) or not isinstance(digest, str):
        raise NotAsExpected("with a tag that has no name or no digest")
    try:
        return parse_tag(name), Digest.parse(digest)
    except NameInvalid as error:
        raise NotAsExpected(f"but {error}") from error


def mapping_of(value: object, what: str) -> Mapping[str, object]:
    """Return a JSON object. Raises NotAsExpected."""
    if not isinstance(value, dict):
        raise NotAsExpected(f"but not with {what}")
    return value


def list_of(value: object, what: str) -> list[object]:
    """Return a JSON list, an empty one for null. Raises NotAsExpected."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise NotAsExpected(f"but not with a list of {what}")
    return value


def of_repository(name: object, repository: Repository) -> None:
    """Raise NotAsExpected where a list says that it is of another repository."""
    if name != repository:
        raise NotAsExpected(f"but for the repository {shown(str(name))}")


def in_a_project(repository: Repository) -> bool:
    """Say whether a name is in a project, or a namespace, as all names of some registries are."""
    return "/" in repository


def joined(told: Iterable[Told]) -> dict[Tag, Digest | None]:
    """Return what each tag names; None for one of which two digests are told: it moved, or the list is wrong."""
    found: dict[Tag, Digest | None] = {}
    for tag, digest in told:
        found[tag] = digest if found.get(tag, digest) == digest else None
    return found
