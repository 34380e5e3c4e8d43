"""Whether a request may go where a server's answer leads (S3), as far as the host's name or number says it. Pure.

The addresses of other names are vetted by registry.resolver; behind a proxy it is the proxy that looks them up.
"""

from typing import NoReturn

from replicator.errors import Reason, RegistryError
from replicator.proxies import Proxies
from replicator.registry.addresses import is_inside_name, is_literal, is_public
from replicator.registry.http import Request
from replicator.registry.reach import Reach


def vet(request: Request, reach: Reach, proxies: Proxies) -> None:
    """Raise RegistryError for a host inside that the operator did not name, and for a proxy taken for a server."""
    origin = request.target.origin
    if reach.may_be_private(origin.host, origin.port):
        return
    if proxies.includes(origin.host, origin.port):
        _refuse(request, reach, "that is a proxy")
    if is_literal(origin.host):
        # Numbers are never resolved, so the resolver cannot refuse them.
        if not is_public(origin.host):
            _refuse(request, reach, "its address is private")
    elif proxies.towards(origin.scheme, origin.host, origin.port) is not None and is_inside_name(origin.host):
        _refuse(request, reach, "its name is one of an inner network")


def _refuse(request: Request, reach: Reach, why: str) -> NoReturn:
    raise RegistryError(
        f"{reach.registry}: {request.operation} {request.target.origin} is refused: {why}; "
        "an own host must be named in realm_allow or redirect_allow",
        registry=reach.registry,
        reason=Reason.UNSUPPORTED,
    )
