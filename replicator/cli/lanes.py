"""`replicator pause` and `replicator resume`: a lane rests, or works again."""

from functools import partial

import anyio
import click

from replicator.admin.client import AdminClient
from replicator.admin.documents import LaneDocument
from replicator.admin.orders import resume_deletes, switch
from replicator.cli.invocation import Invocation, chosen_replicas
from replicator.cli.output import print_json
from replicator.cli.store_access import ask_daemon_or_store
from replicator.settings.schema import Settings


@click.command("pause", short_help="Work for replica NAME no more, until it is resumed.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def pause(invocation: Invocation, name: str, *, as_json: bool) -> None:
    """Work for replica NAME no more, until it is resumed; a restart does not change that.

    Copies under way end. Webhooks are taken as ever and what they tell is owed, so its lag grows; the other replicas
    go on. Where no daemon runs, the store itself is told.
    """
    settings = invocation.settings()
    chosen_replicas(settings, (name,), hint="NAME")
    document = anyio.run(partial(_switch, settings, name, paused=True))
    if as_json:
        print_json(document)
    else:
        click.echo(f"{name} is paused" if document["changed"] else f"{name} was paused already")


@click.command("resume", short_help="Work for replica NAME again.")
@click.argument("name")
@click.option("--deletes", is_flag=True, help="Let its deletes go on that were stopped, however many are due.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def resume(invocation: Invocation, name: str, *, deletes: bool, as_json: bool) -> None:
    """Work for replica NAME again: all that is due goes on at once.

    With --deletes only its deletes are let go on, which stop by themselves when there are too many.
    """
    settings = invocation.settings()
    chosen_replicas(settings, (name,), hint="NAME")
    document = anyio.run(partial(_resume_deletes if deletes else _resume, settings, name))
    if as_json:
        print_json(document)
    elif deletes:
        click.echo(f"deletes of {name} " + ("go on" if document["changed"] else "were not stopped"))
    else:
        click.echo(f"{name} is resumed" if document["changed"] else f"{name} was not paused")


async def _resume(settings: Settings, name: str) -> LaneDocument:
    return await _switch(settings, name, paused=False)


async def _resume_deletes(settings: Settings, name: str) -> LaneDocument:
    return await ask_daemon_or_store(
        settings, lambda daemon: daemon.resume_deletes(name), lambda store: resume_deletes(store, name)
    )


async def _switch(settings: Settings, name: str, *, paused: bool) -> LaneDocument:
    async def tell(daemon: AdminClient) -> LaneDocument:
        return await (daemon.pause if paused else daemon.resume)(name)

    return await ask_daemon_or_store(settings, tell, lambda store: switch(store, name, paused=paused))
