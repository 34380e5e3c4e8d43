"""What the store's state machine is made of: a row in plain words, and what may happen to it."""

from dataclasses import dataclass

from hypothesis import strategies as st

from replicator.errors import Reason
from replicator.model import Digest, IntentKey, Priority, Repository, Tag
from replicator.store.outcome import Done, Outcome, Parked, Result, Retry

DIGESTS = [Digest.of(bytes([number])) for number in range(2)]
REPLICAS = ["eu", "us"]
KEYS = [
    IntentKey(replica, Repository(repository), reference)
    for replica, repository in [("eu", "a/b"), ("us", "c")]
    for reference in (Tag("v1"), DIGESTS[0])
]
# Few keys, few values, and mostly "now": what matters is how steps meet on one row.
SECONDS = st.sampled_from([0.0, 0.0, 0.0, 1.0, 5.0, 30.0, 1000.0])


CHANGES = st.tuples(
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=2),
    st.sampled_from([*DIGESTS, None]),
    SECONDS,
    SECONDS,
    st.sampled_from(Priority),
    st.sampled_from(["p", "p", "q"]),
)
# Times in these are counted from the moment of settling; None gives the lease back.
OUTCOMES: st.SearchStrategy[Outcome | None] = st.one_of(
    st.builds(
        Done,
        result=st.sampled_from([Result.COPIED, Result.ALREADY_PRESENT, Result.SUPERSEDED]),
        digest=st.sampled_from([*DIGESTS, None]),
        look_at=st.none() | SECONDS,
        looks=st.integers(0, 2),
        put=st.booleans(),
        covered=st.sampled_from([(), (DIGESTS[0],)]),
    ),
    *(
        st.builds(
            kind,
            at=SECONDS,
            reason=st.sampled_from([Reason.AUTH, Reason.NETWORK]),
            message=st.just("no"),
            wrote=st.booleans(),
        )
        for kind in (Retry, Parked)
    ),
    st.none(),
)
EVENTS = st.sampled_from(
    [
        *[("time passes", seconds) for seconds in (1.0, 5.0, 5.0, 60.0, 1000.0)],
        *[("make due", replica, parked) for replica in REPLICAS for parked in (True, False)],
        *[("taken over", replica) for replica in REPLICAS],
        *[("count missed", objective) for objective in (1.0, 40.0, 2000.0)],
        *[("retry", key) for key in KEYS],
        *[("ignore", key, digest) for key in KEYS for digest in (*DIGESTS, None)],
        *[("heed", key) for key in KEYS],
        *[(what, replica) for replica in REPLICAS for what in ("pause", "resume")],
        ("restart",),
    ]
) | st.tuples(
    st.just("put beside"),
    st.sampled_from([key for key in KEYS if not isinstance(key.reference, Digest)]),
    st.sampled_from([*DIGESTS, None]),
    SECONDS,
)


@dataclass
class Model:
    """One row in plain words; see replicator.store.tables for what each field means."""

    generation: int = 0
    observed: int = 0
    want: Digest | None = None
    have: Digest | None = None
    since: float | None = None
    since_after_lease: float | None = None
    due: float = 0.0
    priority: Priority = Priority.NORMAL
    fingerprint: str = ""
    attempts: int = 0
    failing_since: float | None = None
    reason: Reason | None = None
    parked: bool = False
    look_at: float | None = None
    doubt: float | None = None
    looks: int = 0
    missed: bool = False
    holder: int | None = None
    held_until: float = 0.0
    ignored: tuple[Digest | None, float] | None = None
    put: bool = False

    @property
    def owed(self) -> bool:
        """Whether a change is unanswered."""
        return self.generation > self.observed

    @property
    def due_at(self) -> float | None:
        """When it is worked on next, owed or as a look."""
        return self.due if self.owed else self.look_at

    @property
    def is_dropped_when_covered(self) -> bool:
        """Whether the row goes when its content comes with another: not if a delete of ours may still land."""
        return self.holder is None and not (self.put and (self.look_at is not None or self.doubt is not None))

    def is_free(self, monotonic: float) -> bool:
        """Whether it can be leased, as far as leases go."""
        return self.holder is None or self.held_until <= monotonic

    def ignore(self, digest: Digest | None) -> None:
        """Have it owed no more by decision; nobody works on it."""
        if self.since is None:
            raise AssertionError("only what is owed can be ignored")
        self.ignored = (digest or self.want, self.since)
        self.observed = self.generation
        self.since = self.since_after_lease = self.failing_since = self.reason = self.holder = None
        self.attempts, self.parked, self.missed = 0, False, False

    def doubted(self, until: float) -> None:
        """Have it looked at again at `until`, whatever else looks before."""
        self.doubt = until if self.doubt is None else max(self.doubt, until)

    def changed(self, since: float, due: float) -> None:
        """Note a change."""
        if not self.owed:
            self.since, self.due = since, due
        self.generation += 1
        if self.holder is not None and self.since_after_lease is None:
            self.since_after_lease = since
        if self.look_at is not None:
            self.doubted(self.look_at)
            self.look_at = None

    def put_beside(self, have: Digest | None, at: float, former: float | None) -> None:
        """Note that somebody without a lease puts it; `former` is the look that this replaces."""
        if former is not None:
            self.doubt = None if self.doubt == former else self.doubt
            if not self.owed and self.holder is None and self.look_at == former:
                self.look_at = None
        if self.owed or self.holder is not None:
            self.doubted(at)
            return
        looks = [at] if self.look_at is None else sorted((at, self.look_at))
        self.have, self.look_at = have or self.have, looks[0]
        if looks[1:]:
            self.doubted(looks[1])
