"""The JSON documents of explanations, one shape for the server, its client and the command."""

from typing import TypedDict


class RefusedRule(TypedDict):
    """One rule, by its place among the rules, and the first reason why it does not send it: see Mismatch.

    `line` is where it stands in the configuration file as it was read last.
    """

    rule: int
    line: int | None
    reason: str
    patterns: list[str]


class QueuedRow(TypedDict):
    """Where a reference stands in the queue of one replica; `before` counts what is due before it.

    `changes` came since the replica was last settled, the newest by the delivery `told_by` (empty: not known).
    """

    state: str
    priority: str
    wanted: str | None
    have: str | None
    told_by: str
    changes: int
    owed_since: float | None
    due_at: float | None
    before: int
    leased: bool
    look_at: float | None
    attempts: int
    failing_since: float | None
    reason: str | None
    message: str
    ignored_at: float | None


class MissingPart(TypedDict):
    """One manifest or blob that the replica lacks; `size` in bytes."""

    part: str
    digest: str
    size: int


class ReplicaLook(TypedDict):
    """What the replica itself said: what the reference names there, and what is missing of what it should name.

    Of `lacking` parts `missing` names the first.
    """

    digest: str | None
    asked: int
    unasked: int
    lacking: int
    missing: list[MissingPart]
    error: str


class ExplainedReplica(TypedDict):
    """One replica's part of an answer; `verdict` is a word of Verdict, `rule` the place of the rule that sends it.

    `queue` and `look` are null where there is no row, and where the replica was not asked.
    """

    replica: str
    verdict: str
    message: str
    next_at: float | None
    rule: int | None
    rule_line: int | None
    refused: list[RefusedRule]
    lane: str
    paused_since: float | None
    queue: QueuedRow | None
    look: ReplicaLook | None
    compared_at: float | None


class NamedByPrimary(TypedDict):
    """What the primary names now, null for nothing; `error` says why it did not tell."""

    digest: str | None
    error: str


class UnreadDelivery(TypedDict):
    """A kept delivery that nobody understood and that mentions the repository."""

    endpoint: str
    reason: str
    received_at: float


class HeardEvent(TypedDict):
    """One event about the reference, and on how many replicas it was then owed, owed before, or known.

    `endpoint` is empty where an operator told of it; `unheeded` is why nothing came of it (see Unheeded).
    """

    received_at: float
    happened_at: float | None
    endpoint: str
    delivery: str
    kind: str
    digest: str | None
    owed: int
    merged: int
    known: int
    unheeded: str | None


class ExplainDocument(TypedDict):
    """The answer of `/api/v1/explain`; `ok` says that it is, or will be, wherever it is to go.

    Of its `events` the newest ones, newest first.
    """

    version: str
    daemon: bool
    read_at: float
    ref: str
    ok: bool
    primary: NamedByPrimary
    replicas: list[ExplainedReplica]
    events: list[HeardEvent]
    unread: list[UnreadDelivery]
