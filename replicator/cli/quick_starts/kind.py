"""One kind of registry, as `init` describes it: texts with gaps that the user's own names fill."""

import string
from collections.abc import Mapping
from dataclasses import dataclass


class _Text(string.Template):
    """Text with gaps written `%{name}`, since `$` belongs to the shell."""

    delimiter = "%"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudLogin:
    """A login by an identity of the cloud, which needs no password: `yaml` below `credentials:`, and the steps."""

    yaml: str
    pull: str
    push: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What `init` says of one kind of registry.

    `auth` is the YAML below `auth:` of the endpoint; `hook`, `pull` and `push` are lines of a shell script: commands,
    and comments for what is done by hand. `pull_user` and `push_user` are the names that these accounts get. Where
    `cloud` is given it is what is set up, and they are what may be done instead.
    `domains` are hosts, or ends of hosts that begin with a dot, that only this service has; empty for what people
    run themselves. `hosts` says whether events name the registry's own host. `hook_secret` is False where the sender
    proves itself by other means than a secret of ours.

    Gaps: `hook` is the URL of the webhook, `secret` the file of its secret, `url`, `host` and `short` (up to the
    first dot) are the registry's, `file` is where the password of the account goes, `name` what the configuration
    calls the registry; `account` and `region` are what a host of Amazon ECR says, or examples; `aws` is its login.
    """

    name: str
    title: str
    url: str
    auth: str
    hook: str
    pull_user: str
    pull: str
    push_user: str
    push: str
    domains: tuple[str, ...] = ()
    cloud: CloudLogin | None = None
    hosts: bool = False
    hook_secret: bool = True

    def serves(self, host: str) -> bool:
        """Say whether `host` can only be a registry of this kind."""
        return any(host.endswith(one) if one.startswith(".") else host == one for one in self.domains)


def filled(text: str, gaps: Mapping[str, str]) -> str:
    """Return `text` with its gaps filled and no blank lines around it. Raises KeyError for a gap without a value."""
    return _Text(text).substitute(gaps).strip("\n")


def installed(extra: str) -> str:
    """Return the lines that put an extra of the package beside the daemon."""
    return (
        f"# In containers instead: build the image with --build-arg EXTRAS={extra} (docs/containers.md).\n"
        f'pip install "replicator[{extra}]"'
    )
