"""Which replicas a request is about."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicator.admin.ports import Routes
from replicator.model import Reference, Repository


@dataclass(frozen=True, slots=True)
class Targets:
    """The replicas a reference is sent to, and in `missing` those asked for that no rule sends it to."""

    replicas: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def refusal(self) -> str:
        """Why there is nothing to do, empty when there is."""
        if self.missing:
            return f"no rule sends it to {', '.join(self.missing)}"
        return "" if self.replicas else "no rule sends it to any replica"


def targets(routes: Routes, repository: Repository, reference: Reference, named: Sequence[str]) -> Targets:
    """Return the replicas `named` (none named: all) as far as a rule sends `reference` there."""
    routed = routes.replicas_for(repository, reference)
    wanted = tuple(dict.fromkeys(named)) or routed
    return Targets(
        replicas=tuple(name for name in wanted if name in routed),
        missing=tuple(name for name in wanted if name not in routed),
    )
