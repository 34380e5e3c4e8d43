"""Azure Container Registry's list of tags: `GET /acr/v1/NAME/_tags?n=`, by a right of its own. Pure.

The right is `metadata_read`. Further pages are told by `Link`, the last one has none.
"""

from replicator.model import Repository, parse_repository
from replicator.registry import scope
from replicator.registry.authorizer import Challenged
from replicator.registry.capabilities import DigestList
from replicator.registry.origin import Origin, Target
from replicator.registry.own_lists.form import Form, Told, list_of, mapping_of, of_repository, told_of

_TOKENS = "/oauth2/token"


def first(origin: Origin, repository: Repository, size: int | None) -> Target:
    """Return the URL of the first page."""
    return Target(
        origin, f"/acr/v1/{parse_repository(repository)}/_tags", query=None if size is None else f"n={size}"
    )


def told(document: object, repository: Repository) -> tuple[Told, ...]:
    """Return what a page tells. Raises NotAsExpected."""
    page = mapping_of(document, "an object")
    of_repository(page.get("imageName"), repository)
    entries = [mapping_of(entry, "objects as tags") for entry in list_of(page.get("tags"), "tags")]
    return tuple(told_of(entry.get("name"), entry.get("digest")) for entry in entries)


def suits(challenged: Challenged) -> bool:
    """Say whether tokens come from where Azure's registries have them."""
    return challenged.path == _TOKENS


ACR = Form(kind=DigestList.ACR, first=first, scopes=scope.metadata, suits=suits, told=told)
"""How Azure tells digests."""
