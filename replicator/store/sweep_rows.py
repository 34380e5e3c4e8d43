"""Where sweeps stand, as the store keeps it: frozen copies."""

from dataclasses import dataclass

from replicator.model import Digest, Repository, Tag


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Where the comparison of one repository stands. Times are Unix seconds.

    `found_at` is when the repository was first known of, `changed_at` when something last changed in it, `swept_at`
    when the last list of its tags was begun that was compared, `full_at` the same of the last one all of whose
    digests were compared, too. They are compared again from `next_at` and `full_next_at` on. A comparison of digests
    that was cut goes on behind the tag `progress` and counts from `full_began_at`. `scope` is what was configured
    when it was last compared, `gone` how many tags replicas held then that the primary did not list, `failures` how
    often comparing it has failed since.
    """

    repository: Repository
    found_at: float
    next_at: float
    full_next_at: float
    changed_at: float | None = None
    swept_at: float | None = None
    full_at: float | None = None
    full_began_at: float | None = None
    progress: Tag | None = None
    scope: str = ""
    gone: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTag:
    """What the store knows of a tag on one replica.

    `have` is what the replica held when last settled, `owed` whether a change is not there yet, `looking` whether
    another look at it is due anyway, `fingerprint` the policy that made the row. `ignored` says that the replica need
    not have the digest `left_out` by decision (None: whatever it named then).
    """

    replica: str
    tag: Tag
    have: Digest | None
    owed: bool
    looking: bool
    fingerprint: str
    ignored: bool = False
    left_out: Digest | None = None

    @property
    def settled(self) -> Digest | None:
        """The digest that makes it differ in nothing when the primary names it, too."""
        return self.left_out if self.ignored else self.have


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSummary:
    """How many repositories are compared, and since when the tags and the digests of all of them were compared.

    `tags_at` and `digests_at` are the oldest beginnings of a comparison, of what was never compared the time at which
    it was first known of; None where there is nothing to compare.
    """

    repositories: int
    tags_at: float | None
    digests_at: float | None
