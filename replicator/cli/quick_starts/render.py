"""From what the user named to a configuration file, and to a shell script that sets up the rest. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from urllib.parse import urlsplit

from replicator.cli.quick_starts.every import of_replica
from replicator.cli.quick_starts.kind import Kind, filled
from replicator.settings.ecr_host import EcrPlace, ecr_place

HOOK_SECRET = "secrets/hook.secret"  # noqa: S105 -- a path
"""The file of the webhook's secret, beside the configuration."""
_DEFAULT_PORT = 8080
_SOME_PLACE = EcrPlace("123456789012", "eu-central-1")
_UNKNOWN_PUSH = """
# An account that may pull from and push to what the rules send there, and nothing else. Its password or token:
cat > %{file}  # paste it, Enter, Ctrl-D
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to write: `replicas` are URLs by name, `hook` is the URL that the primary is to call."""

    primary: Kind
    url: str
    replicas: Mapping[str, str]
    hook: str


def config(plan: Plan) -> str:
    """Return the configuration file, in YAML with comments."""
    gaps = {"secret": HOOK_SECRET, "hook": plan.hook, **_gaps(plan.url, "primary")}
    hook = urlsplit(plan.hook)
    lines = [
        f"# {plan.primary.title} as primary, from: replicator init --primary {plan.primary.name}",
        "# Every key and its default: docs/configuration.md. Paths are relative to this file.",
        "version: 1",
        "",
        "primary:",
        f"  url: {plan.url}",
        *_credentials(
            plan.primary, plan.primary.pull_user, _gaps(plan.url, "primary"), "may pull; remove to be anonymous"
        ),
        "",
        "replicas:",
    ]
    for name, url in plan.replicas.items():
        kind = of_replica(_host(url), plan.primary)
        lines += [f"  - name: {name}", f"    url: {url}"]
        user = kind.push_user if kind is not None else "replicator"
        lines += [f"  {line}" for line in _credentials(kind, user, _gaps(url, name), "may pull and push")]
    lines += [
        "",
        "# rules:                               # absent: every repository and tag goes to every replica",
        '#   - {repositories: ["team/**"], tags: ["v*"]}',
        "",
        "webhooks:",
        *_listen(hook.scheme, hook.port, plan.hook),
        "  endpoints:",
        f"    - path: {hook.path}",
        f"      format: {plan.primary.name}",
        *([f"      hosts: [{_host(plan.url)}]"] if plan.primary.hosts else []),
        "      auth:",
        indent(filled(plan.primary.auth, gaps), " " * 8),
        "",
        "# store: {url: sqlite:////var/lib/replicator/replicator.db}",
    ]
    return "\n".join(lines) + "\n"


def script(plan: Plan) -> str:
    """Return the steps that the configuration needs, as a shell script with what is done by hand as comments."""
    head = (
        f"# {plan.primary.title}: what this configuration needs. Read it, put your own names in, and run it step by\n"
        "# step where the configuration lies. Files of secrets are for the daemon's user alone."
    )
    return "\n\n".join([head, *_steps(plan)]) + "\n"


def password_file(registry: str) -> str:
    """Return the path of the file with a registry's password."""
    return f"secrets/{registry}.password"


def _steps(plan: Plan) -> Iterator[str]:
    kind = plan.primary
    gaps = {"hook": plan.hook, "secret": HOOK_SECRET, **_gaps(plan.url, "primary")}
    secret = f"\nod -An -tx1 -N32 /dev/urandom | tr -d ' \\n' > {HOOK_SECRET}" if kind.hook_secret else ""
    yield f"# 1. Secrets\numask 077\nmkdir -p secrets{secret}"
    yield f"# 2. The account at {gaps['host']} that images are read with\n{_account(kind, gaps, push=False)}"
    for number, (name, url) in enumerate(plan.replicas.items(), 3):
        yield f"# {number}. The account of {name} ({_host(url)})\n{_push(kind, name, url)}"
    number = 3 + len(plan.replicas)
    yield f"# {number}. Does it work so far? Then start the daemon.\nreplicator -c replicator.yaml check"
    yield f"# {number + 1}. The webhook\n{filled(kind.hook, gaps)}"


def _push(primary: Kind, name: str, url: str) -> str:
    host, gaps = _host(url), _gaps(url, name)
    kind = of_replica(host, primary)
    if kind is None:
        return filled(_UNKNOWN_PUSH, gaps)
    guessed = f"# If it is not {kind.title}: an account that may pull and push.\n" if not kind.serves(host) else ""
    return guessed + _account(kind, gaps, push=True)


def _account(kind: Kind, gaps: Mapping[str, str], *, push: bool) -> str:
    by_password = filled(kind.push if push else kind.pull, gaps)
    if kind.cloud is None:
        return by_password
    steps = filled(kind.cloud.push if push else kind.cloud.pull, gaps)
    return f"{steps}\n# Instead, by user name and password:\n{indent(by_password, '#   ')}"


def _gaps(url: str, name: str) -> dict[str, str]:
    host = _host(url)
    known = ecr_place(host)
    place = known or _SOME_PLACE
    return {
        "url": url,
        "host": host,
        "short": host.partition(".")[0],
        "name": name,
        "file": password_file(name),
        "account": place.account,
        "region": place.region,
        "aws": "{}" if known is not None else f"{{region: {place.region}}}",
    }


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _credentials(kind: Kind | None, user: str, gaps: Mapping[str, str], rights: str) -> Sequence[str]:
    by_password: tuple[str, ...] = (f"username: {user}", f"password_file: {gaps['file']}")
    if kind is None or kind.cloud is None:
        login = by_password
    else:
        login = (*filled(kind.cloud.yaml, gaps).splitlines(), "# Or instead of all that:")
        login += tuple(f"# {line}" for line in by_password)
    return (f"  credentials:                         # {rights}", *(f"    {line}" for line in login))


def _listen(scheme: str, port: int | None, url: str) -> Sequence[str]:
    if scheme == "http" and port is not None:
        return (f"  listen: 0.0.0.0:{port}",)
    return (
        f"  listen: 0.0.0.0:{_DEFAULT_PORT}                 # a proxy with the certificate passes on what comes to",
        f"                                       # {url}",
        "  # tls: {cert_file: tls/server.pem, key_file: tls/server.key}   # or HTTPS without a proxy",
    )
