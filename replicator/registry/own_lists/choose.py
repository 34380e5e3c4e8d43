"""Which lists of its own a registry may have."""

from typing import Final

from replicator.registry.capabilities import Capabilities
from replicator.registry.exchange import Exchange
from replicator.registry.logins.source import Images
from replicator.registry.own_lists.acr import ACR
from replicator.registry.own_lists.believed import OwnList
from replicator.registry.own_lists.ecr import EcrList
from replicator.registry.own_lists.harbor import HARBOR
from replicator.registry.own_lists.pages import PagedList
from replicator.registry.own_lists.quay import QUAY

FORMS: Final = (ACR, HARBOR, QUAY)
"""Those that are asked for over the registry's own client."""


def own_lists_of(exchange: Exchange, capabilities: Capabilities, images: Images | None) -> tuple[OwnList, ...]:
    """Return the lists to look for, Amazon's alone where the login is AWS's (`images` asks it)."""
    if images is not None:
        return (EcrList(exchange.registry, images),)
    return tuple(PagedList(form, exchange, capabilities) for form in FORMS)
