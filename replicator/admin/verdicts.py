"""All that is known of a reference on one replica -> one answer: where it is, and when next. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from replicator.admin.explain_documents import (
    ExplainedReplica,
    MissingPart,
    NamedByPrimary,
    QueuedRow,
    RefusedRule,
    ReplicaLook,
)
from replicator.admin.ports import LaneView
from replicator.admin.standing import describe
from replicator.admin.status import row_state
from replicator.admin.wording import counted
from replicator.lacks import Look
from replicator.model import Digest
from replicator.observability.labels import LaneState
from replicator.routing import Reasons
from replicator.store.rows import Row
from replicator.store.sweep_rows import Swept

_MISSING_SHOWN = 20


class Where(StrEnum):
    """What an answer says of one replica."""

    THERE = "there"  # it names what the primary names, and all that was asked for is there
    COMING = "coming"  # it is owed and will be tried, or a look at it is due
    PAUSED = "paused"  # it is owed, and the lane rests until somebody resumes it
    PARKED = "parked"  # it is owed, and trying soon cannot help
    IGNORED = "ignored"  # somebody decided that the replica need not have it
    MISSING = "missing"  # something is not there, and nothing is owed
    NO_RULE = "no_rule"  # no rule sends it there
    GONE = "gone"  # the primary names nothing
    UNKNOWN = "unknown"  # a registry did not tell


DONE = frozenset({Where.THERE, Where.COMING})
"""It is there, or will be without anybody's help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AtPrimary:
    """What the primary names, None for nothing; `problem` says why it did not tell."""

    digest: Digest | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one replica; `before` counts the rows due before its own, `lane` is None without a daemon.

    `look` is None where the replica was not asked, `compared` where sweeps do not know the repository.
    """

    replica: str
    reasons: Reasons
    primary: AtPrimary
    row: Row | None = None
    before: int = 0
    paused_since: float | None = None
    lane: LaneView | None = None
    look: Look | None = None
    compared: Swept | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Where it is, one sentence about it, and when something happens next (Unix seconds, None: not known)."""

    where: Where
    message: str
    next_at: float | None = None


def judge(facts: Facts, now: float) -> Answer:
    """Return the answer for one replica."""
    row, look = facts.row, facts.look
    if facts.reasons.rule is None:
        left = "; it is owed still, by rules of before" if row is not None and row.owed else ""
        return Answer(Where.NO_RULE, f"no rule sends it there{left}")
    if look is not None and look.complete and look.shown == facts.primary.digest:
        too_many = counted(look.unasked, "part was", "parts were")
        rest = f", as far as asked: {too_many} too many" if look.unasked else ""
        return Answer(Where.THERE, f"complete there{rest}")
    if row is not None and row.ignored_at is not None:
        return Answer(Where.IGNORED, describe(row))
    if row is not None and row.owed:
        return _owed(row, facts, now)
    return _nothing_owed(facts)


def _owed(row: Row, facts: Facts, now: float) -> Answer:
    if facts.paused_since is not None:
        return Answer(Where.PAUSED, "owed, and the replica is paused: replicator resume has it go on")
    if row.leased:
        return Answer(Where.COMING, "it is being worked on", row.due_at)
    turn = "its turn is due" if row.due_at is not None and row.due_at <= now else "its turn comes"
    turn += f", {facts.before} before it" if facts.before else ""
    if facts.lane is not None and facts.lane.state == LaneState.OPEN:
        turn += "; the replica is taken for down, and is probed"
    # The failure's own words stand in the queue's part of the answer.
    state = row_state(row) if row.reason is None else f"{row_state(row)}: {row.reason}"
    return Answer(Where.PARKED if row.parked else Where.COMING, f"{state}; {turn}", row.due_at)


def _nothing_owed(facts: Facts) -> Answer:
    row, look, named = facts.row, facts.look, facts.primary.digest
    if facts.primary.problem:
        answer = Answer(Where.UNKNOWN, f"the primary does not tell what it names: {facts.primary.problem}")
    elif named is None:
        answer = _gone(row)
    elif row is not None and row.verify_at is not None:
        answer = Answer(Where.COMING, "it is looked at once more", row.verify_at)
    elif row is not None and row.have == named:
        answer = _settled(look)
    elif look is not None and look.problem:
        answer = Answer(Where.UNKNOWN, f"nothing is owed, and the replica does not tell: {look.problem}")
    else:
        answer = _untold(facts)
    return answer


def _gone(row: Row | None) -> Answer:
    if row is None or row.have is None:
        return Answer(Where.GONE, "the primary has no such reference")
    again = ", which is looked at again" if row.verify_at is not None else ""
    return Answer(
        Where.GONE, f"the primary has no such reference; the replica was given {row.have}{again}", row.verify_at
    )


def _settled(look: Look | None) -> Answer:
    if look is not None and look.problem:
        return Answer(Where.THERE, f"settled there; it was not looked at again: {look.problem}")
    return Answer(Where.MISSING, "it was settled there, and is not as it was: replicator copy sends it anew")


def _untold(facts: Facts) -> Answer:
    told = "nobody told of it" if facts.row is None else "nobody told of what the primary names now"
    if facts.compared is None:
        return Answer(Where.MISSING, f"{told}: no webhook came, and no comparison is due")
    return Answer(Where.MISSING, f"{told}; the next comparison finds it", _compared_at(facts))


def _compared_at(facts: Facts) -> float | None:
    """Return when a comparison notices: of tags when the tag is not known, else of digests."""
    if facts.compared is None:
        return None
    return facts.compared.next_at if facts.row is None else max(facts.compared.next_at, facts.compared.full_next_at)


def explained(facts: Facts, now: float) -> ExplainedReplica:
    """Return the document of one replica."""
    answer = judge(facts, now)
    return ExplainedReplica(
        replica=facts.replica,
        verdict=str(answer.where),
        message=answer.message,
        next_at=answer.next_at,
        rule=facts.reasons.rule,
        rule_line=facts.reasons.line,
        refused=[
            RefusedRule(rule=one.rule, line=one.line, reason=str(one.mismatch), patterns=list(one.patterns))
            for one in facts.reasons.refused
        ],
        lane="stopped" if facts.lane is None else facts.lane.state,
        paused_since=facts.paused_since,
        queue=None if facts.row is None else _queued(facts.row, facts.before),
        look=None if facts.look is None else _looked(facts.look),
        compared_at=_compared_at(facts),
    )


def named_by(primary: AtPrimary) -> NamedByPrimary:
    """Return the document of the primary."""
    return NamedByPrimary(digest=_text(primary.digest), error=primary.problem)


def _queued(row: Row, before: int) -> QueuedRow:
    return QueuedRow(
        state=row_state(row),
        priority=row.priority.name.lower(),
        wanted=_text(row.want),
        have=_text(row.have),
        told_by=row.delivery,
        changes=row.generation - row.observed_generation,
        owed_since=row.dirty_since,
        due_at=row.due_at,
        before=before,
        leased=row.leased,
        look_at=row.verify_at,
        attempts=row.attempts,
        failing_since=row.failing_since,
        reason=None if row.reason is None else str(row.reason),
        message=row.message,
        ignored_at=row.ignored_at,
    )


def _looked(look: Look) -> ReplicaLook:
    return ReplicaLook(
        digest=_text(look.shown),
        asked=look.asked,
        unasked=look.unasked,
        lacking=len(look.absent),
        missing=[
            MissingPart(part=str(one.part), digest=str(one.digest), size=one.size)
            for one in look.absent[:_MISSING_SHOWN]
        ],
        error=look.problem,
    )


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)
