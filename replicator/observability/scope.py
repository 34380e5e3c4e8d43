"""The names that labels of metrics may hold under one configuration."""

from dataclasses import dataclass

from replicator.settings.schema import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The names of the configuration that labels may hold, the objective, how often sweeps are whole, the version."""

    replicas: tuple[str, ...]
    sources: tuple[str, ...] = ("primary",)
    endpoints: tuple[str, ...] = ()
    subscriptions: tuple[str, ...] = ()
    receivers: tuple[str, ...] = ()
    objective_lag: float = 900.0
    objective_percent: float = 99.9
    sweep_full_every: float = 0.0
    version: str = "unknown"

    @property
    def senders(self) -> tuple[str, ...]:
        """What the label `endpoint` may hold: whose events come, whichever way."""
        return (*self.endpoints, *self.subscriptions)

    @classmethod
    def of(cls, settings: Settings, *, version: str) -> "Scope":
        """Return the scope that a configuration has."""
        return cls(
            replicas=tuple(replica.name for replica in settings.replicas),
            sources=(settings.primary.name,),
            endpoints=tuple(endpoint.name for endpoint in settings.webhooks.endpoints),
            subscriptions=tuple(subscription.name for subscription in settings.webhooks.subscriptions),
            receivers=tuple(receiver.name for receiver in settings.notify),
            objective_lag=settings.objective.lag,
            objective_percent=settings.objective.percent,
            sweep_full_every=0.0 if settings.sweep is None else settings.sweep.full_every,
            version=version,
        )
