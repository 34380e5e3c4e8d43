"""What a lane is made of."""

import random
from dataclasses import dataclass, field

from replicator.clock import Clock
from replicator.observability.metrics import Metrics
from replicator.replication.ports import IntentStore
from replicator.replication.watchers import Watchers
from replicator.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneKit:
    """What a lane is given: its replica's name, how many intents it works on at once, and its ports."""

    name: str
    workers: int
    store: IntentStore
    metrics: Metrics
    clock: Clock
    policy: RetryPolicy
    rng: random.Random
    watchers: Watchers = field(default_factory=Watchers)
