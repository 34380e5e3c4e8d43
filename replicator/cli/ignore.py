"""`replicator ignore`: a replica need not have something, by decision."""

import anyio
import click

from replicator.admin.client import AdminClient
from replicator.admin.documents import IgnoreDocument
from replicator.admin.ignoring import DONE, decide
from replicator.admin.queries import IgnoreBody
from replicator.admin.reference import ref_text
from replicator.cli.invocation import Exit, Invocation, chosen_replicas, ref_argument
from replicator.cli.output import print_json, print_table
from replicator.cli.registries import open_registries
from replicator.cli.store_access import ask_daemon_or_store
from replicator.clock import SystemClock
from replicator.settings.schema import PRIMARY, Settings
from replicator.store.store import Store

_SAID = {
    "ignored": "ignored: no lag any more, until something else is pushed there",
    "was_ignored": "was ignored already",
    "not_owed": "nothing is owed there",
    "owed": "owed again, since the change",
    "known": "not ignored any more, and the replica has it",
    "not_ignored": "was not ignored",
}


@click.command("ignore", short_help="Take what REF names now out of lag by decision.")
@click.argument("ref")
@click.option("--replica", "replicas", metavar="NAME", multiple=True, help="Only there; may stand several times.")
@click.option("--undo", is_flag=True, help="Take the decision back: it is owed again.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def ignore(invocation: Invocation, ref: str, replicas: tuple[str, ...], *, undo: bool, as_json: bool) -> None:
    """Decide that the replicas need not have what REF names now: it is not lag any more, and nobody works on it.

    It is counted and listed (`status --ignored`). The decision ends with `--undo`, or by itself when something else
    is pushed under REF. Exit code 1 when REF is owed (with `--undo`: ignored) nowhere.
    """
    settings = invocation.settings()
    body = IgnoreBody(ref=ref_argument(settings, ref), replicas=chosen_replicas(settings, replicas), undo=undo)
    document = anyio.run(_decide, settings, body)
    if as_json:
        print_json(document)
    else:
        rows = [(item["replica"], _SAID[item["result"]]) for item in document["replicas"]]
        print_table(("REPLICA", document["ref"]), rows)
    if not DONE & {item["result"] for item in document["replicas"]}:
        click.get_current_context().exit(Exit.NO)


async def _decide(settings: Settings, body: IgnoreBody) -> IgnoreDocument:
    async def tell(daemon: AdminClient) -> IgnoreDocument:
        return await daemon.ignore(ref_text(*body.ref), body.replicas, undo=body.undo)

    async def tell_store(store: Store) -> IgnoreDocument:
        every = [replica.name for replica in settings.replicas]
        async with open_registries(settings, (), SystemClock()) as clients:
            return await decide(store, clients[PRIMARY], body, every)

    return await ask_daemon_or_store(settings, tell, tell_store)
