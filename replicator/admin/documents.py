"""The JSON documents of the API, one shape for the server, its client and the commands."""

from typing import NotRequired, TypedDict


class DeletesStatus(TypedDict):
    """What the primary lost: `pending` are to be deleted, `left` stay for a reason; `stopped_since` as told."""

    pending: int
    left: dict[str, int]
    stopped_since: float | None


class ReplicaStatus(TypedDict):
    """One replica. `state` is its lane's, or `stopped` where no daemon runs; `failing` counts rows by reason.

    `paused_since` is when an operator paused it, also where no daemon runs.
    """

    name: str
    labels: dict[str, str]
    state: str
    paused_since: float | None
    lag_seconds: float
    owed: int
    parked: int
    ignored: int
    failing: dict[str, int]
    deletes: DeletesStatus
    inflight: int
    last_error: str
    last_success: float | None


class Totals(TypedDict):
    """Sums over all replicas; `lag_seconds` is the largest."""

    lag_seconds: float
    owed: int
    parked: int
    ignored: int
    failing: int
    inflight: int


class RowStatus(TypedDict):
    """One row that is owed, or that is ignored since `ignored_at`.

    `wanted` is the digest the latest change named, `have` what the replica was last given.
    """

    replica: str
    repository: str
    reference: str
    state: str
    wanted: str | None
    have: str | None
    owed_seconds: float
    due_at: float | None
    ignored_at: float | None
    attempts: int
    reason: str | None
    message: str


class StatusDocument(TypedDict):
    """The answer of `/api/v1/status`; `rows` and `next` only where rows were asked for."""

    version: str
    daemon: bool
    read_at: float
    replicas: list[ReplicaStatus]
    totals: Totals
    rows: NotRequired[list[RowStatus]]
    next: NotRequired[str | None]


class Failure(TypedDict):
    """Why a request was not served: a fixed code for programs, a sentence for people."""

    code: str
    message: str


class AwaitedReplica(TypedDict):
    """Where one replica of a wait stands; `waiting_for` is empty once it is complete."""

    replica: str
    complete: bool
    waiting_for: str


class WaitDocument(TypedDict):
    """The answer of `/api/v1/wait`; `digest` is what the reference named on the primary when the wait began."""

    ref: str
    digest: str | None
    complete: bool
    replicas: list[AwaitedReplica]
    seconds: float
    error: NotRequired[Failure]


class RecordedChange(TypedDict):
    """What one replica's row became: accepted, coalesced or known."""

    replica: str
    result: str


class ChangesDocument(TypedDict):
    """The answer of `POST /api/v1/changes`."""

    ref: str
    changes: list[RecordedChange]


class LaneDocument(TypedDict):
    """What pausing or resuming a lane came to; `changed` is false where it was so already."""

    replica: str
    paused_since: float | None
    changed: bool


class RetriedReplica(TypedDict):
    """How many rows of one replica were made `due`; with `paused_since` they wait until it is resumed."""

    replica: str
    due: int
    paused_since: float | None


class RetryDocument(TypedDict):
    """What was made due now; `ref` is null where everything was."""

    ref: str | None
    due: int
    replicas: list[RetriedReplica]


class DecidedReplica(TypedDict):
    """What a decision came to on one replica: a word of IgnoreResult."""

    replica: str
    result: str


class IgnoreDocument(TypedDict):
    """What ignoring a reference, or taking that back (`undo`), came to."""

    ref: str
    undo: bool
    replicas: list[DecidedReplica]


class SyncedReplica(TypedDict):
    """One replica: references that were `found` to differ, what became of them, blob bytes. `problem` "" for none."""

    replica: str
    complete: bool
    found: int
    settled: int
    failed: int
    put: int
    bytes_to_send: int
    bytes_sent: int
    bytes_mounted: int
    problem: str


class FailedReference(TypedDict):
    """A reference that could not be made equal."""

    replica: str
    repository: str
    reference: str
    reason: str
    message: str


class SyncDocument(TypedDict):
    """A sync. `complete`: it has ended, everything was looked at, and all is equal.

    `failed` are the first 100; `refused` says, where it is not "", that the names asked for mean no repository.
    """

    id: str
    complete: bool
    searched: bool
    ended: bool
    repositories: int
    replicas: list[SyncedReplica]
    failed: list[FailedReference]
    problems: list[str]
    refused: str


class HealthDocument(TypedDict):
    """The answer of the probes; `store_seconds` is how long the store took to answer."""

    status: str
    problem: str
    store_seconds: float
