"""What a forecast says: counted for each replica and repository."""

from dataclasses import dataclass, field
from typing import Self

from replicator.errors import ReplicatorError
from replicator.model import Reference, Repository


@dataclass(slots=True)
class Amount:
    """Blobs, and how many bytes they are."""

    blobs: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one blob."""
        self.blobs += 1
        self.bytes += size

    def __iadd__(self, other: "Amount") -> Self:
        self.blobs += other.blobs
        self.bytes += other.bytes
        return self


@dataclass(slots=True, kw_only=True)
class RepositoryForecast:
    """What a sweep would do for one repository on one replica.

    References that are `new` there or name something `different`. For others nothing is done: `kept` are those that
    differ and stay, since somebody else put them there and the rule says so, `extra` tags that the primary does not
    have. Of all blobs that the new and different need: those to `send`, to `mount`, and `present` ones.
    """

    repository: Repository
    new: int = 0
    different: int = 0
    kept: int = 0
    extra: int = 0
    send: Amount = field(default_factory=Amount)
    mount: Amount = field(default_factory=Amount)
    present: Amount = field(default_factory=Amount)

    @property
    def to_put(self) -> int:
        """References to put."""
        return self.new + self.different

    def add(self, other: "RepositoryForecast") -> None:
        """Count another's, too."""
        self.new += other.new
        self.different += other.different
        self.kept += other.kept
        self.extra += other.extra
        self.send += other.send
        self.mount += other.mount
        self.present += other.present


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What could not be looked at, and why: a whole replica where `repository` is None.

    `replica` is None for what concerns the primary.
    """

    replica: str | None
    repository: Repository | None
    reference: Reference | None
    error: ReplicatorError


@dataclass(slots=True, kw_only=True)
class Forecast:
    """What a sweep would do: by replica the repositories in which there is something, and what is not known."""

    replicas: dict[str, list[RepositoryForecast]]
    problems: list[Problem] = field(default_factory=list)
    repositories: int = 0
    lost: set[tuple[str, Repository | None]] = field(default_factory=set)

    def is_lost(self, replica: str, repository: Repository | None = None) -> bool:
        """Say whether a replica, or a repository of it, could not be looked at."""
        return (replica, None) in self.lost or (replica, repository) in self.lost

    def tell(self, problem: Problem) -> None:
        """Take note of a problem."""
        self.problems.append(problem)
        if problem.replica is not None and problem.reference is None:
            self.lost.add((problem.replica, problem.repository))

    def total(self, replica: str) -> RepositoryForecast:
        """Return all repositories of a replica, summed up."""
        total = RepositoryForecast(repository=Repository(""))
        for one in self.replicas[replica]:
            total.add(one)
        return total
