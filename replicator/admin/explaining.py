"""One answer to "where is it": rules, queue, errors, what is missing on each replica, and when next."""

from dataclasses import dataclass
from functools import partial

import anyio

from replicator import __version__
from replicator.admin.explain_documents import ExplainDocument, ExplainedReplica, HeardEvent, UnreadDelivery
from replicator.admin.ports import Comparisons, Explainable, LaneViews, Looks, Routes, Source
from replicator.admin.reference import ref_text
from replicator.admin.verdicts import DONE, AtPrimary, Facts, explained, named_by
from replicator.clock import Clock
from replicator.errors import ContentError, RegistryError
from replicator.heard import Event
from replicator.model import IntentKey, Reference, Repository
from replicator.together import together

AT_ONCE = 32
"""Replicas looked at at a time, and questions answered at a time."""
_PRIMARY_WITHIN = 5.0
_UNREAD_SHOWN = 3
_EVENTS_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an answer is made of; `lanes` is None where no daemon runs."""

    store: Explainable
    comparisons: Comparisons
    lanes: LaneViews | None
    source: Source
    looks: Looks
    rules: Routes
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: a reference, on `replicas`; `named` says that the caller asked for just those."""

    repository: Repository
    reference: Reference
    replicas: tuple[str, ...]
    named: bool


class Explainer:
    """Answers questions; changes nothing, anywhere."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._at_once = anyio.CapacityLimiter(AT_ONCE)

    async def explain(self, question: Question) -> ExplainDocument:
        """Return the answer. Raises StoreError; what a registry does not tell is said in the answer."""
        parts = self._parts
        primary = await self._primary(question)

        async def ask(replica: str) -> ExplainedReplica:
            async with self._at_once:
                return explained(await self._facts(question, replica, primary), parts.clock.now())

        replicas = await together([partial(ask, name) for name in question.replicas])
        # Without --replica it is enough that it goes wherever a rule sends it.
        counted = [one for one in replicas if question.named or one["verdict"] != "no_rule"]
        return ExplainDocument(
            version=__version__,
            daemon=parts.lanes is not None,
            read_at=parts.clock.now(),
            ref=ref_text(question.repository, question.reference),
            ok=bool(counted) and all(one["verdict"] in DONE for one in counted),
            primary=named_by(primary),
            replicas=replicas,
            events=await self._events(question),
            unread=await self._unread(question.repository),
        )

    async def _primary(self, question: Question) -> AtPrimary:
        with anyio.move_on_after(_PRIMARY_WITHIN):
            try:
                named = await self._parts.source.stat_manifest(question.repository, question.reference)
            except (RegistryError, ContentError) as error:
                return AtPrimary(problem=str(error))
            return AtPrimary(digest=None if named is None else named.digest)
        return AtPrimary(problem=f"no answer in {_PRIMARY_WITHIN:g} s")

    async def _facts(self, question: Question, replica: str, primary: AtPrimary) -> Facts:
        parts, repository, reference = self._parts, question.repository, question.reference
        reasons = parts.rules.reasons(replica, repository, reference)
        row = await parts.store.row(IntentKey(replica, repository, reference))
        look = None
        if primary.digest is not None and reasons.rule is not None:
            policy = parts.rules.policy(replica, repository, reference)
            look = await parts.looks.look(replica, repository, reference, primary.digest, policy)
        return Facts(
            replica=replica,
            reasons=reasons,
            primary=primary,
            row=row,
            before=0 if row is None else await parts.store.rows_before(row),
            paused_since=await parts.store.paused_since(replica),
            lane=None if parts.lanes is None else parts.lanes.lanes().get(replica),
            look=look,
            compared=await parts.comparisons.one(repository),
        )

    async def _events(self, question: Question) -> list[HeardEvent]:
        events = await self._parts.store.events(question.repository, question.reference, _EVENTS_SHOWN)
        return [_heard(one) for one in events]

    async def _unread(self, repository: Repository) -> list[UnreadDelivery]:
        """Return kept deliveries that nobody understood and that name the repository: the event may be among them."""
        mentioned = [one for one in await self._parts.store.unreadable() if repository.encode() in one.body]
        return [
            UnreadDelivery(endpoint=one.endpoint, reason=one.reason, received_at=one.received_at)
            for one in mentioned[:_UNREAD_SHOWN]
        ]


def _heard(event: Event) -> HeardEvent:
    return HeardEvent(
        received_at=event.received_at,
        happened_at=event.happened_at,
        endpoint=event.endpoint,
        delivery=event.delivery,
        kind=str(event.kind),
        digest=None if event.digest is None else str(event.digest),
        owed=event.owed,
        merged=event.merged,
        known=event.known,
        unheeded=None if event.unheeded is None else str(event.unheeded),
    )
