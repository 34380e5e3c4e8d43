"""The page that Prometheus reads: OpenMetrics with exemplars where that is asked for, else plain text."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


def page(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the page and its content type, as the Accept header wants it."""
    encode, content_type = choose_encoder(accept)
    return encode(_WithoutCreated(registry)), content_type


class _WithoutCreated(Collector):
    """A registry without the `_created` series, which double the page and which nothing here reads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family
