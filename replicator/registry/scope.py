"""Scopes of the token protocol: `type:name:action,action`, merged and in one canonical order (A5). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from replicator.model import Repository

_WRITING = frozenset({"push", "delete", "*"})
_MOST = 32
_METADATA = "metadata_read"


@dataclass(frozen=True, slots=True)
class Scope:
    """Rights on one resource. `name` may hold colons (`host:port/name`)."""

    kind: str
    name: str
    actions: frozenset[str]

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


CATALOG = (Scope("registry", "catalog", frozenset({"*"})),)
"""What listing all repositories needs."""


@lru_cache(maxsize=1024)
def pull(repository: Repository) -> tuple[Scope, ...]:
    """Return what reading a repository needs."""
    return (Scope("repository", repository, frozenset({"pull"})),)


@lru_cache(maxsize=1024)
def push(repository: Repository) -> tuple[Scope, ...]:
    """Return what writing a repository needs."""
    return (Scope("repository", repository, frozenset({"pull", "push"})),)


@lru_cache(maxsize=1024)
def delete(repository: Repository) -> tuple[Scope, ...]:
    """Return what giving up an upload needs: some registries want the right to delete for it."""
    return (Scope("repository", repository, frozenset({"pull", "push", "delete"})),)


@lru_cache(maxsize=1024)
def metadata(repository: Repository) -> tuple[Scope, ...]:
    """Return what Azure's own list of tags needs; who may pull need not have it."""
    return (Scope("repository", repository, frozenset({_METADATA})),)


def are_extra(scopes: Iterable[Scope]) -> bool:
    """Say whether `scopes` hold a right that may be missing although the login is good."""
    return any(_METADATA in scope.actions for scope in scopes)


def parse(text: str) -> tuple[Scope, ...]:
    """Return the scopes of a challenge, merged; words that are no scope are passed over."""
    return merge(scope for word in text.split()[:_MOST] if (scope := _parse_one(word)) is not None)


def merge(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """Return one scope per resource, actions joined (`*` swallows the rest), what writes first.

    Some registries look at the first scope only, and it must be the one that is written to.
    """
    actions: dict[tuple[str, str], frozenset[str]] = {}
    for scope in scopes:
        key = (scope.kind, scope.name)
        actions[key] = actions.get(key, frozenset()) | scope.actions
    merged = (Scope(kind, name, _dominated(granted)) for (kind, name), granted in actions.items())
    return tuple(sorted(merged, key=lambda scope: (not scope.actions & _WRITING, scope.kind, scope.name)))


def _dominated(actions: frozenset[str]) -> frozenset[str]:
    return frozenset({"*"}) if "*" in actions else actions


def _parse_one(word: str) -> Scope | None:
    kind, _, rest = word.partition(":")
    name, _, actions = rest.rpartition(":")
    granted = frozenset(filter(None, actions.split(",")))
    return Scope(kind, name, granted) if kind and name and granted else None
