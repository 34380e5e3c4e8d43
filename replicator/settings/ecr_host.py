"""Host names of Amazon ECR. Pure."""

import re
from typing import NamedTuple

_HOST = re.compile(
    r"(?P<account>[0-9]{12})\.(?:dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?"
    r"|dkr-ecr(?:-fips)?\.(?P<dual>[a-z0-9-]+)\.on\.aws)"
)
ECR_PUBLIC = "public.ecr.aws"
"""The one host of Amazon ECR Public, whose API is in one region alone."""


class EcrPlace(NamedTuple):
    """Whose registry it is, and where."""

    account: str
    region: str


def ecr_place(host: str) -> EcrPlace | None:
    """Return what the host name of a private registry says, None for any other name."""
    match = _HOST.fullmatch(host)
    return None if match is None else EcrPlace(match["account"], match["region"] or match["dual"])
