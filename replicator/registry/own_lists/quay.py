"""Quay's list of tags: `GET /api/v1/repository/NAME/tag/?onlyActiveTags=true`, 100 tags a page at most. Pure.

Pages are numbered. That API takes OAuth tokens, no robot accounts; a token of which the password of the user
`$oauthtoken` consists is one. Public repositories it lists to anybody.
"""

from replicator.model import Repository, parse_repository
from replicator.registry import scope
from replicator.registry.authorizer import Challenged
from replicator.registry.capabilities import DigestList
from replicator.registry.http import LogIn
from replicator.registry.origin import Origin, Target
from replicator.registry.own_lists.form import Form, NotAsExpected, Told, in_a_project, list_of, mapping_of, told_of

_MOST = 100
_TOKENS = "/v2/auth"


def first(origin: Origin, repository: Repository, size: int | None) -> Target:
    """Return the URL of the first page."""
    limit = "" if size is None else f"&limit={min(size, _MOST)}"
    path = f"/api/v1/repository/{parse_repository(repository)}/tag/"
    return Target(origin, path, query=f"onlyActiveTags=true{limit}")


def told(document: object, _: Repository) -> tuple[Told, ...]:
    """Return what a page tells. Raises NotAsExpected."""
    tags = mapping_of(document, "an object").get("tags")
    if tags is None:
        raise NotAsExpected("without tags")
    entries = [mapping_of(entry, "objects as tags") for entry in list_of(tags, "tags")]
    return tuple(told_of(entry.get("name"), entry.get("manifest_digest")) for entry in entries)


def goes_on(document: object) -> bool:
    """Say whether another page follows. Raises NotAsExpected where that is not told."""
    more = mapping_of(document, "an object").get("has_additional")
    if not isinstance(more, bool):
        raise NotAsExpected("without a word of further pages")
    return more


def suits(challenged: Challenged) -> bool:
    """Say whether tokens come from where Quay has them."""
    return challenged.path == _TOKENS


QUAY = Form(
    kind=DigestList.QUAY,
    first=first,
    scopes=scope.pull,
    suits=suits,
    told=told,
    reaches=in_a_project,
    log_in=LogIn.OAUTH,
    goes_on=goes_on,
)
"""How Quay tells digests."""
