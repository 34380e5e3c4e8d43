"""How far a sync is: counted for each replica."""

from dataclasses import dataclass

from replicator.errors import Reason
from replicator.model import IntentKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A reference that this sync could not make equal; it stays owed."""

    key: IntentKey
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaProgress:
    """One replica: references that were `found` to differ, of them those `settled` and `failed`; all that were `put`.

    Bytes of blobs: those `to_send` as far as was looked, `sent` and `mounted` so far. `problem` says why the replica
    is not looked at any more, "" if it is.
    """

    replica: str
    found: int
    settled: int
    failed: int
    put: int
    to_send: int
    sent: int
    mounted: int
    problem: str

    @property
    def is_equal(self) -> bool:
        """Whether all that was found to differ is equal now."""
        return self.settled == self.found and not self.failed and not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A sync as it stands; `searched` once all differences are found, `ended` once nothing more will be done.

    `problems` are what could not be looked at beside whole replicas, and why; `refused` says that what was asked for
    means no repository, and why.
    """

    id: str
    replicas: tuple[ReplicaProgress, ...]
    failed: tuple[Failed, ...]
    problems: tuple[str, ...]
    repositories: int
    searched: bool
    ended: bool
    refused: str = ""

    @property
    def is_equal(self) -> bool:
        """Whether everything was looked at and is equal now."""
        return self.ended and self.searched and not self.problems and all(one.is_equal for one in self.replicas)
