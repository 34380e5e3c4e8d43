"""`replicator retry`: what failed is tried again now."""

import anyio
import click

from replicator.admin.client import AdminClient
from replicator.admin.documents import RetryDocument
from replicator.admin.orders import retry as retry_here
from replicator.admin.queries import RetryBody
from replicator.admin.reference import ref_text
from replicator.cli.invocation import Exit, Invocation, chosen_replicas, ref_argument
from replicator.cli.output import print_json, print_table
from replicator.cli.store_access import ask_daemon_or_store
from replicator.settings.schema import Settings


@click.command("retry", short_help="Try what failed again now, parked or not.")
@click.argument("ref", required=False)
@click.option("--replica", "replicas", metavar="NAME", multiple=True, help="Only there; may stand several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def retry(invocation: Invocation, ref: str | None, replicas: tuple[str, ...], *, as_json: bool) -> None:
    """Make all that failed due now, parked or not; with REF only that reference.

    A replica that is taken for down is probed at once. Says how many became due. Where no daemon runs, the store
    itself is told. Exit code 1 when REF is failing nowhere.
    """
    settings = invocation.settings()
    body = RetryBody(
        ref=None if ref is None else ref_argument(settings, ref), replicas=chosen_replicas(settings, replicas)
    )
    document = anyio.run(_retry, settings, body)
    if as_json:
        print_json(document)
    else:
        _show(document)
    if ref is not None and not document["due"]:
        click.get_current_context().exit(Exit.NO)


async def _retry(settings: Settings, body: RetryBody) -> RetryDocument:
    async def tell(daemon: AdminClient) -> RetryDocument:
        return await daemon.retry(None if body.ref is None else ref_text(*body.ref), body.replicas)

    every = [replica.name for replica in settings.replicas]
    return await ask_daemon_or_store(settings, tell, lambda store: retry_here(store, body, every))


def _show(document: RetryDocument) -> None:
    print_table(("REPLICA", "DUE NOW"), [(item["replica"], str(item["due"])) for item in document["replicas"]])
    for item in document["replicas"]:
        if item["paused_since"] is not None:
            click.echo(f"{item['replica']} is paused: nothing is tried there until it is resumed.")
