"""How a sync is told to programs: one JSON document, while it runs and at its end."""

from replicator.admin.documents import FailedReference, SyncDocument, SyncedReplica
from replicator.sync.progress import Progress, ReplicaProgress

FAILED_MAX = 100
"""References that failed told at most; the counts are of all."""


def document(progress: Progress) -> SyncDocument:
    """Return the document of a sync."""
    return SyncDocument(
        id=progress.id,
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
        refused=progress.refused,
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
