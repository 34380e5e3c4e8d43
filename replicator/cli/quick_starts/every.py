"""All kinds by name, and whose a replica is."""

from collections.abc import Mapping
from typing import Final

from replicator.cli.quick_starts.amazon import ECR, SNS
from replicator.cli.quick_starts.azure import ACR, EVENTGRID
from replicator.cli.quick_starts.clouds import ALIYUN, GAR
from replicator.cli.quick_starts.hosted import DISTRIBUTION, GITEA, HARBOR, JFROG, NEXUS, ZOT
from replicator.cli.quick_starts.hubs import DOCKERHUB, GHCR, GITLAB, QUAY
from replicator.cli.quick_starts.kind import Kind

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        *(ACR, EVENTGRID, ECR, SNS, GAR, ALIYUN),
        *(DISTRIBUTION, GITEA, HARBOR, JFROG, NEXUS, ZOT),
        *(DOCKERHUB, GHCR, GITLAB, QUAY),
    )
}
"""All kinds of primaries, by the name that is their webhooks' format too."""


def of_replica(host: str, primary: Kind) -> Kind | None:
    """Return the kind whose commands fit a replica at `host`, None where nothing tells.

    Who runs the primary's registry is taken to run the same one elsewhere; a cloud's registry shows by its host.
    """
    for kind in KINDS.values():
        if kind.serves(host):
            return kind
    return primary if not primary.domains or primary.name == "gitlab" else None
