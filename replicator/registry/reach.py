"""Where a registry's answers may send us, and where its credentials may go (S2-S5, S13). Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NoReturn

from replicator.errors import Reason, RegistryError
from replicator.model import shown
from replicator.registry.origin import Origin, Target, join

_KNOWN_REALMS = frozenset(
    {
        ("registry-1.docker.io", "auth.docker.io"),
        ("registry.gitlab.com", "gitlab.com"),
    }
)
"""Public registries whose token server has another name: (registry, token server), both on port 443."""
_SIGNED = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The policy of one configured registry.

    `realm_allow` are hosts that may be given its credentials as token servers, `redirect_allow` hosts that reads and
    uploads may go to although their address is private; both `host` (the scheme's own port) or `host:port`.
    """

    registry: str
    origin: Origin
    realm_allow: Collection[str] = ()
    redirect_allow: Collection[str] = ()

    def realm(self, asked: Target, text: str) -> Target:
        """Return the token server that a challenge to `asked` names. Raises RegistryError: credentials stay here."""
        target = self._joined(asked, text, "token server")
        if target.origin.scheme != "https" and self.origin.scheme == "https":
            self._refuse(f"the token server {target.origin} is plain http, the registry is not", Reason.AUTH)
        known = (self.origin.host, target.origin.host) in _KNOWN_REALMS and target.origin.port == asked.origin.port
        if target.origin != self.origin and not known and not _listed(target.origin, self.realm_allow):
            self._refuse(
                f"the token server {target.origin} is not the registry itself, so it is not given the credentials; "
                f"if it is right, put {target.origin.authority} into realm_allow",
                Reason.AUTH,
            )
        return target

    def redirect(self, current: Target, text: str) -> Target:
        """Return where a redirect of `current` goes. Raises RegistryError: never from https to http."""
        target = self._joined(current, text, "redirect")
        if current.origin.scheme == "https" and target.origin.scheme != "https":
            self._refuse(f"{current.origin} redirects from https to plain http at {target.origin}", Reason.TLS)
        return target

    def upload(self, current: Target, text: str) -> Target:
        """Return where an upload goes on. Raises RegistryError: another origin must be https or in redirect_allow."""
        target = self._at_home(self._joined(current, text, "upload location"))
        if target.origin in {self.origin, current.origin}:
            return target
        plain_by_choice = self.origin.scheme == "http" and _listed(target.origin, self.redirect_allow)
        if target.origin.scheme != "https" and not plain_by_choice:
            self._refuse(f"uploads are sent on to plain http at {target.origin}", Reason.TLS)
        return target

    def page(self, current: Target, text: str) -> Target:
        """Return the next page of a list. Raises RegistryError when it is on another origin."""
        target = self._at_home(self._joined(current, text, "next page"))
        if target.origin != self.origin:
            self._refuse(f"the next page of a list is at another place, {target.origin}", Reason.UNSUPPORTED)
        return target

    def takes_credentials(self, target: Target) -> bool:
        """Say whether a request to `target` may carry our login: not elsewhere, not beside a signature."""
        names = {pair.partition("=")[0].lower() for pair in (target.query or "").split("&")}
        return target.origin == self.origin and not names & _SIGNED

    def may_be_private(self, host: str, port: int) -> bool:
        """Say whether the operator named this host, so that it may have an address that is not public."""
        if (host, port) == (self.origin.host, self.origin.port):
            return True
        named = (*self.realm_allow, *self.redirect_allow)
        return any(_listed(Origin(scheme, host, port), named) for scheme in ("https", "http"))

    def _at_home(self, target: Target) -> Target:
        # Proxies in front of registries often lose the port, or write http:// for https://. The host is ours and no
        # port is written, so what is meant is where we are already: nothing leaves the configured origin.
        if target.origin.host == self.origin.host and not target.port_written:
            return target.at(self.origin)
        return target

    def _joined(self, base: Target, text: str, what: str) -> Target:
        target = join(base, text)
        if target is None:
            # The text may carry secrets in its query, so it is not shown beyond that.
            self._refuse(f"the {what} {shown(text.partition('?')[0])} is not a URL we follow", Reason.UNSUPPORTED)
        return target

    def _refuse(self, problem: str, reason: Reason) -> NoReturn:
        raise RegistryError(f"{self.registry}: {problem}", registry=self.registry, reason=reason)


def _listed(origin: Origin, allowed: Collection[str]) -> bool:
    return origin.authority in allowed or f"{origin.host}:{origin.port}" in allowed
