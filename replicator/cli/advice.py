"""What to do about a registry that `check` could not work with. Pure."""

from typing import Final

from replicator.errors import ProxyFailed, Reason, RegistryError, ReplicatorError, SettingsError

SKEW_SECONDS: Final = 30.0
"""A clock that is further from ours is worth a word: tokens and certificates have times, and so has lag."""
_FORBIDDEN: Final = 403
_OTHERWISE: Final = "see docs/operations.md"
_PLAIN: Final = {
    Reason.NETWORK: "check the host in url, DNS, the port and firewalls on the way",
    Reason.TLS: "if the registry has a private authority set tls.ca_file; check the host name in url and the clock",
    Reason.TIMEOUT: "something on the way drops the packets, or the registry hangs: check firewalls and proxies",
    Reason.RATE_LIMITED: "the registry limits this account: wait, or use an account with a higher limit",
    Reason.SERVER_ERROR: "the registry itself is in trouble: look at its own log",
    Reason.NOT_FOUND: "nothing at this address speaks the registry API: check url",
}
_ASK_PROXY: Final = "check the proxy and what it lets pass; hosts that need none go into no_proxy: or NO_PROXY"
_OF_PROXY: Final = {
    Reason.AUTH: "write the login of the proxy under proxy: as username: and password_file:, or into the variable",
    Reason.TLS: "if the proxy has a private authority set ca_file: under proxy:, and write http:// if it speaks none",
}
_BY_WORDS: Final = (
    (
        "client certificate, or wants one",
        "set tls.cert_file and tls.key_file, of an authority that the registry believes, and look at when it ends",
    ),
    ("the name has no address", "check the host in url, and DNS on this machine"),
    ("cannot connect", "nothing listens there, or a firewall refuses: check host and port in url"),
    ("expired", "its certificate has expired: renew it there; if it has not, set the clock of this machine right"),
    (
        "not yet valid",
        "its certificate begins later: set the clock of this machine right, or look at it",
    ),
    ("mismatch", "its certificate is for another name: write the name that it is for into url"),
    (
        "certificate is not trusted",
        "if the registry has a private authority set tls.ca_file; else it may send too few certificates",
    ),
    (
        "handshake failed",
        "does it speak plain HTTP (then write http:// in url), or want a client certificate (tls.cert_file)?",
    ),
    ("holds none under", "log in to it there (docker login, podman login), or name the right file in docker_config"),
    ("has none for", "store a login for it there (docker login), or name another file in docker_config"),
    ("realm_allow", "if that host is the registry's own token server write it into realm_allow, else check url"),
)
"""Words of our own errors, or of OpenSSL's reason in them; the first that is found counts."""


def advice(error: ReplicatorError, *, anonymous: bool = False) -> str:
    """Return what to do about `error`; `anonymous` when no credentials were configured."""
    if isinstance(error, SettingsError):
        return _OTHERWISE
    if isinstance(error, ProxyFailed):
        return _OF_PROXY.get(error.reason, _ASK_PROXY)
    if error.reason in {Reason.AUTH, Reason.NETWORK, Reason.TLS}:
        for words, what in _BY_WORDS:
            if words in str(error):
                return what
    if error.reason is Reason.AUTH:
        return _login(error, anonymous=anonymous)
    return _PLAIN.get(error.reason, _OTHERWISE)


def missing_push(repository: str, error: RegistryError, *, anonymous: bool) -> str:
    """Return what to do when no upload may begin in `repository`."""
    if anonymous or error.status != _FORBIDDEN:
        return f"{_login(error, anonymous=anonymous)}; it needs the scope repository:{repository}:pull,push"
    return (
        f"give the account the right to pull and push there (scope repository:{repository}:pull,push); some "
        "registries also refuse where the project or repository does not exist"
    )


def clock_remark(ahead: float | None) -> str:
    """Return what to say of a registry's clock that is `ahead` seconds before ours; "" for nothing."""
    if ahead is None or abs(ahead) < SKEW_SECONDS:
        return ""
    which = "ahead of" if ahead > 0 else "behind"
    return (
        f"its clock is {abs(ahead):.0f} s {which} this machine's: set the one that is wrong (NTP), or tokens and "
        "certificates are refused and lag is told wrong"
    )


def _login(error: ReplicatorError, *, anonymous: bool) -> str:
    if anonymous:
        return "it takes no anonymous clients: write the account into credentials:"
    if isinstance(error, RegistryError) and error.status == _FORBIDDEN:
        return "the account is known but may not do this: look at its rights at the registry"
    return "user name, password or token is wrong, or has expired: check what the account is called and its secret"
