"""How a sync is told to programs: one JSON document, while it runs and at its end."""

from typing import TypedDict

from replicator.sync.progress import Progress, ReplicaProgress

FAILED_MAX = 100
"""References that failed told at most; the counts are of all."""


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
    """A sync. `complete`: it has ended, everything was looked at, and all is equal."""

    complete: bool
    searched: bool
    ended: bool
    repositories: int
    replicas: list[SyncedReplica]
    failed: list[FailedReference]
    problems: list[str]


def document(progress: Progress) -> SyncDocument:
    """Return the document of a sync."""
    return SyncDocument(
        complete=progress.is_equal,
        searched=progress.searched,
        ended=progress.ended,
        repositories=progress.repositories,
        replicas=[_replica(one) for one in progress.replicas],
        failed=[
            FailedReference(
                replica=one.key.replica,
                repository=one.key.repository,
                reference=str(one.key.reference),
                reason=str(one.reason),
                message=one.message,
            )
            for one in progress.failed[:FAILED_MAX]
        ],
        problems=list(progress.problems),
    )


def _replica(one: ReplicaProgress) -> SyncedReplica:
    return SyncedReplica(
        replica=one.replica,
        complete=one.is_equal,
        found=one.found,
        settled=one.settled,
        failed=one.failed,
        put=one.put,
        bytes_to_send=one.to_send,
        bytes_sent=one.sent,
        bytes_mounted=one.mounted,
        problem=one.problem,
    )
