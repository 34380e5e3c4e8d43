"""The subscriptions of the configuration, each with its decoder and what it counts by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from replicator.intake.deliveries import Deliveries, Means
from replicator.intake.doors import format_of
from replicator.intake.ports import WebhookMetrics
from replicator.settings.schema import Subscription


@dataclass(frozen=True, slots=True, kw_only=True)
class Inlet:
    """What becomes of the messages of one subscription; `missed` is told of those that may have been lost (Means)."""

    settings: Subscription
    deliveries: Deliveries
    metrics: WebhookMetrics
    missed: Callable[[float], None]


Inlets = Mapping[str, Inlet]
"""The inlets by the names of their subscriptions."""


def open_inlets(subscriptions: Sequence[Subscription], means: Means) -> Inlets:
    """Return the inlet of each subscription; nothing is connected yet (intake.subscriptions)."""
    return {one.name: _open(one, means) for one in subscriptions}


def _open(settings: Subscription, means: Means) -> Inlet:
    return Inlet(
        settings=settings,
        metrics=means.metrics,
        missed=means.missed,
        deliveries=Deliveries(
            settings.name,
            decode=format_of(settings).decode,
            hosts=settings.hosts,
            max_body=settings.max_body,
            means=means,
        ),
    )
