"""Which replicas a change concerns, and how: the rules of the configuration, compiled once. Pure."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from replicator.deletion import Deletion
from replicator.model import (
    Change,
    ChangeKind,
    Digest,
    Intent,
    IntentKey,
    Platform,
    Priority,
    Reference,
    Repository,
)
from replicator.policy import Policy
from replicator.referrers import is_cosign_tag, is_fallback_tag
from replicator.settings.patterns import Patterns
from replicator.settings.schema import ReplicaSettings, Rule, Settings

_OLDEST = 30 * 86400.0
"""Seconds; a sender's clock that says more than this is wrong, and must not make a lag of years."""
_PRIORITIES = {"high": Priority.HIGH, "normal": Priority.NORMAL, "low": Priority.LOW}
_EVERYTHING = Rule()


class Mismatch(StrEnum):
    """Why a rule does not send a reference to a replica."""

    REPLICAS = "replicas"  # it names other replicas
    REPOSITORIES = "repositories"  # its patterns of repositories do not match
    TAGS = "tags"  # its patterns of tags do not match
    REFERRERS = "referrers"  # it is the first to match, and sends no referrers along


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule by its place (1 is the first, 0 stands for what holds without rules), and what of it does not match.

    `line` is where it stands in the file, None where that is not known.
    """

    rule: int
    mismatch: Mismatch
    patterns: tuple[str, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Reasons:
    """The place of the `rule` that sends a reference to a replica (None: none does), and why those before do not.

    `line` is where it stands in the file, None where that is not known.
    """

    rule: int | None
    refused: tuple[Refused, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class _Matcher:
    """A rule's patterns."""

    repositories: Patterns
    tags: Patterns

    def mismatch(self, repository: Repository, reference: Reference | None) -> Mismatch | None:
        """Return what does not match, None if all does; None for what goes by its repository alone."""
        if not self.repositories.match(repository):
            return Mismatch.REPOSITORIES
        named = reference is None or isinstance(reference, Digest) or self.tags.match(reference)
        return None if named else Mismatch.TAGS


@dataclass(frozen=True, slots=True)
class _Route:
    """What happens for one replica when a rule matches: `matcher` is the rule's position."""

    matcher: int
    priority: Priority
    fingerprint: str
    policy: Policy


class Router:
    """Turns changes into intents: for each replica by the first rule that matches and names it."""

    def __init__(self, settings: Settings) -> None:
        """Compile the rules; none means everything to every replica."""
        rules = self._rules = settings.rules or (_EVERYTHING,)
        self._first = 1 if settings.rules else 0
        self._lines = [settings.rule_line(position) for position in range(len(rules))]
        self._matchers = tuple(
            _Matcher(Patterns(rule.repositories, versions=False), Patterns(rule.tags, versions=True))
            for rule in rules
        )
        self._routes = {
            replica.name: tuple(
                _Route(position, _PRIORITIES[rule.priority], _fingerprint(replica, rule), _policy(rule))
                for position, rule in enumerate(rules)
                if rule.replicas is None or replica.name in rule.replicas
            )
            for replica in settings.replicas
        }
        self._grace = settings.deletes.grace
        self._untagged_hold = settings.webhooks.untagged_hold
        self.scope = _scope(settings)
        """What identifies what is sent where: the same rules and replicas, the same text."""

    def route(self, change: Change, now: float) -> tuple[Intent, ...]:
        """Return what the change makes owed, at most one intent a replica. `now` in Unix seconds.

        Untagged content waits for the index that may hold it. A fallback tag stands for the referrers that it lists,
        and makes something owed only where they travel. Deletes make nothing owed: see `doomed`.
        """
        if change.kind is not ChangeKind.PUSH:
            return ()
        untagged = isinstance(change.reference, Digest)
        return tuple(
            Intent(
                key=IntentKey(replica, change.repository, change.reference),
                digest=change.reference if isinstance(change.reference, Digest) else change.digest,
                since=_since(change.happened_at, now),
                due_at=now + self._untagged_hold if untagged else now,
                priority=route.priority,
                fingerprint=route.fingerprint,
                delivery=change.delivery,
            )
            for replica, route in self._find(change.repository, change.reference)
        )

    def doomed(self, change: Change, now: float) -> tuple[Deletion, ...]:
        """Return what a delete on the primary dooms, after its grace period; a list of referrers is never doomed."""
        if change.kind is not ChangeKind.DELETE or is_fallback_tag(change.reference):
            return ()
        return tuple(
            Deletion(
                key=IntentKey(replica, change.repository, change.reference), found_at=now, due_at=now + self._grace
            )
            for replica, route in self._find(change.repository, change.reference)
            if route.policy.deletes
        )

    def propagates(self, replica: str, repository: Repository, reference: Reference, fingerprint: str) -> bool:
        """Say whether a delete of a reference reaches the replica by the very rule that made it hold that."""
        found = None if is_fallback_tag(reference) else dict(self._find(repository, reference)).get(replica)
        return found is not None and found.policy.deletes and found.fingerprint == fingerprint

    def concerns(self, repository: Repository) -> bool:
        """Say whether a rule sends anything of a repository anywhere."""
        return bool(self._matching(repository, None))

    def replicas_for(self, repository: Repository, reference: Reference) -> tuple[str, ...]:
        """Return the names of the replicas that are to hold the reference, in the order of the configuration."""
        if is_fallback_tag(reference):
            return ()
        return tuple(replica for replica, _ in self._find(repository, reference))

    def policy(self, replica: str, repository: Repository, reference: Reference) -> Policy:
        """Return what of the reference the replica is to hold; all of it where no rule sends it there any more."""
        found = dict(self._find(repository, reference)).get(replica)
        return Policy() if found is None else found.policy

    def reasons(self, replica: str, repository: Repository, reference: Reference) -> Reasons:
        """Return why the reference is sent to the replica, or why not: the same verdict as that of `route`."""
        if is_fallback_tag(reference):
            return self._reasons(replica, repository, None)
        if is_cosign_tag(reference):
            along = self._reasons(replica, repository, None)
            if along.rule is not None:
                return along
        return self._reasons(replica, repository, reference)

    def _reasons(self, replica: str, repository: Repository, reference: Reference | None) -> Reasons:
        """Return the reasons of a reference; None stands for what travels along with the repository's images."""
        refused: list[Refused] = []
        for position, rule in enumerate(self._rules):
            mismatch = self._matchers[position].mismatch(repository, reference)
            if rule.replicas is not None and replica not in rule.replicas:
                mismatch = Mismatch.REPLICAS
            if mismatch is None and (reference is not None or rule.referrers):
                return Reasons(position + self._first, tuple(refused), self._lines[position])
            why = mismatch or Mismatch.REFERRERS
            refused.append(Refused(position + self._first, why, _patterns(rule, mismatch), self._lines[position]))
            if mismatch is None:
                break  # whether referrers travel is decided by the first rule that matches
        return Reasons(None, tuple(refused))

    def _find(self, repository: Repository, reference: Reference) -> list[tuple[str, _Route]]:
        if is_fallback_tag(reference):
            return self._travelling(repository)
        if not is_cosign_tag(reference):
            return self._matching(repository, reference)
        # Where referrers travel, so do these, whatever the patterns of tags say; elsewhere they are tags as any.
        found = dict(self._matching(repository, reference)) | dict(self._travelling(repository))
        return [(replica, found[replica]) for replica in self._routes if replica in found]

    def _travelling(self, repository: Repository) -> list[tuple[str, _Route]]:
        return [found for found in self._matching(repository, None) if found[1].policy.referrers]

    def _matching(self, repository: Repository, reference: Reference | None) -> list[tuple[str, _Route]]:
        matched: dict[int, bool] = {}
        found = []
        for replica, routes in self._routes.items():
            for route in routes:
                if route.matcher not in matched:
                    matched[route.matcher] = self._matchers[route.matcher].mismatch(repository, reference) is None
                if matched[route.matcher]:
                    found.append((replica, route))
                    break
        return found


def _patterns(rule: Rule, mismatch: Mismatch | None) -> tuple[str, ...]:
    match mismatch:
        case Mismatch.REPLICAS:
            return tuple(rule.replicas or ())
        case Mismatch.REPOSITORIES:
            return tuple(rule.repositories)
        case Mismatch.TAGS:
            return tuple(rule.tags)
        case _:
            return ()


def _policy(rule: Rule) -> Policy:
    keeps, deletes = rule.conflicts == "keep", rule.deletes == "propagate"
    if rule.platforms is None:
        return Policy(referrers=rule.referrers, keeps_conflicts=keeps, deletes=deletes)
    parts = (name.split("/") for name in rule.platforms)
    return Policy(
        tuple(Platform(os, arch, variant[0] if variant else "") for os, arch, *variant in parts),
        rule.referrers,
        keeps,
        deletes,
    )


def _since(happened_at: float | None, now: float) -> float:
    """Return the sender's time when it can be believed: neither in the future nor absurdly old."""
    if happened_at is not None and now - _OLDEST <= happened_at <= now:
        return happened_at
    return now


def _fingerprint(replica: ReplicaSettings, rule: Rule) -> str:
    """Return what identifies the content that the replica must hold by this rule: same policy, same text.

    Left out is what does not change that content (priority, deletes, conflicts, labels, limits, credentials).
    """
    policy = {
        "url": replica.url,
        "repository_prefix": replica.repository_prefix,
        "platforms": sorted(rule.platforms) if rule.platforms is not None else "all",
        "referrers": rule.referrers,
    }
    return hashlib.sha256(json.dumps(policy, sort_keys=True).encode()).hexdigest()[:16]


def _scope(settings: Settings) -> str:
    named = [(replica.name, replica.url, replica.repository_prefix) for replica in settings.replicas]
    rules = [rule.model_dump(mode="json", exclude={"priority", "deletes", "conflicts"}) for rule in settings.rules]
    return hashlib.sha256(json.dumps([named, rules], sort_keys=True).encode()).hexdigest()[:16]
