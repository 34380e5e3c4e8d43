"""`replicator init`: a configuration to begin with, and what to set up at the registries for it."""

from urllib.parse import urlsplit

import click

from replicator.cli.quick_starts.every import KINDS
from replicator.cli.quick_starts.render import Plan, config, script
from replicator.settings.schema import PRIMARY, Endpoint, PrimarySettings, ReplicaSettings

_PATH = "/webhooks/primary"


def _primary_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    try:
        return PrimarySettings(url=value).url if value is not None else None
    except ValueError:
        # The cause is dropped on purpose: it shows the URL, which may hold a password.
        raise click.BadParameter("write https://HOST or https://HOST:PORT", ctx, param) from None


def _replicas(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        name, _, url = value.partition("=")
        try:
            replica = ReplicaSettings(name=name, url=url)
        except ValueError:
            raise click.BadParameter(
                "write NAME=URL, as in eu-west=https://eu.registry.example.com; names are lower-case letters, "
                "digits and dashes",
                ctx,
                param,
            ) from None
        if name == PRIMARY or name in found:
            raise click.BadParameter(f"{name} is taken: choose another name", ctx, param)
        found[name] = replica.url
    return found


def _hook_url(ctx: click.Context, param: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        # Checked in two halves by what the loader will check them with.
        origin = PrimarySettings(url=f"{parts.scheme}://{parts.netloc}").url
        path = Endpoint(path=parts.path.rstrip("/") or _PATH, auth=None).path
    except ValueError:
        raise click.BadParameter("write https://HOST/PATH, with plain characters", ctx, param) from None
    if "?" in value or "#" in value:
        raise click.BadParameter(
            "write it without ? and #: the secret is added where the sender needs it", ctx, param
        )
    return f"{origin}{path}"


@click.command("init", short_help="Print a configuration, and what to set up at the registries for it.")
@click.option("--primary", type=click.Choice(sorted(KINDS)), required=True, help="What the primary is.")
@click.option("--primary-url", metavar="URL", callback=_primary_url, help="Where the primary is.")
@click.option(
    "--replica",
    "replicas",
    metavar="NAME=URL",
    multiple=True,
    default=("eu-west=https://eu.registry.example.com",),
    show_default=True,
    callback=_replicas,
    help="A replica; may be given several times.",
)
@click.option(
    "--hook-url",
    metavar="URL",
    default=f"https://replicator.example.com{_PATH}",
    show_default=True,
    callback=_hook_url,
    help="Where the primary reaches the daemon's listener for webhooks.",
)
def init(*, primary: str, primary_url: str | None, replicas: dict[str, str], hook_url: str) -> None:
    """Print a configuration to begin with, on stdout, and the steps that it needs, on stderr.

    \b
    replicator init --primary harbor >replicator.yaml 2>steps.sh

    The steps are a shell script with comments: an account at each registry that may do no more than it must, its
    password in a file, and the webhook. Nothing is changed and no network is used.
    """  # noqa: D301 -- click's mark for lines that stay as they are
    kind = KINDS[primary]
    plan = Plan(primary=kind, url=primary_url or kind.url, replicas=replicas, hook=hook_url)
    click.echo(config(plan), nl=False)
    click.echo(script(plan), nl=False, err=True)
