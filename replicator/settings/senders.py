"""What the settings say of every sender of events, whichever way its events come."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from replicator.settings.fields import Host, Many
from replicator.settings.generic import GenericFormat

Format = Literal[
    "distribution", "auto", "acr", "aliyun", "dockerhub", "ecr", "eventgrid", "gar", "generic", "ghcr", "gitea",
    "gitlab", "harbor", "jfrog", "nexus", "quay", "sns", "zot",
]  # fmt: skip  # one row a name says nothing more
"""Whose events these are."""
Described = Annotated[
    GenericFormat | None, Field(description="Where in the JSON the names are; goes with `format: generic`.")
]
"""How the format `generic` is to be read."""
Hosts = Annotated[
    Many[Host],
    Field(description="Events that name another host are ignored and counted; empty: the host is not looked at."),
]
"""The registry's own hosts."""
LONGEST_BODY: Final = 8 << 20
"""Bytes of a body, where nothing else is written."""


def max_body() -> Any:
    """Return the field that says how many bytes a body may have."""
    return Field(LONGEST_BODY, ge=1 << 10, le=64 << 20, description="Longest body taken.")
