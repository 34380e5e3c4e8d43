"""`replicator sync`: one sweep in the foreground."""

import random
import signal
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import anyio
import click

from replicator import __version__
from replicator.admin.client import AdminClient, NoDaemon, open_client
from replicator.admin.documents import SyncDocument
from replicator.cli.invocation import Exit, Invocation, chosen_replicas
from replicator.cli.output import bytes_text, print_json, print_table
from replicator.cli.registries import open_registries
from replicator.cli.repositories import selected
from replicator.cli.sync_display import Display, display
from replicator.clock import SystemClock
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.schema import Settings
from replicator.store.opening import open_store
from replicator.sweep.selection import Selection, UnknownRepository
from replicator.sync.document import document
from replicator.sync.foreground import sync_with_own_lanes
from replicator.sync.sync import Sync
from replicator.together import first_error

SHOWN_EVERY = 0.5
"""Seconds between two looks at how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Errand:
    """What is to be made equal where: `arguments` as they were written, and what they mean."""

    settings: Settings
    arguments: tuple[str, ...]
    replicas: tuple[str, ...]
    selection: Selection
    clock: SystemClock


@click.command("sync", short_help="Make the replicas equal to the primary now.")
@click.argument("repositories", metavar="[REPO]...", nargs=-1)
@click.option("--replica", "replicas", metavar="NAME", multiple=True, help="Only this one; may stand several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def sync(invocation: Invocation, repositories: tuple[str, ...], replicas: tuple[str, ...], *, as_json: bool) -> None:
    """Do what `plan` says now, in the foreground, and say at the end what was done.

    REPO is a repository's name or a pattern as in rules; without one, all that sweeps compare. A running daemon does
    it, and this command follows; with none it is done here. Interrupted, it leaves everything so that the next one
    goes on.

    Ends with 0 when all is equal, with 1 when something failed, could not be looked at, or was interrupted.
    """
    settings = invocation.settings()
    names = chosen_replicas(settings, replicas) or tuple(one.name for one in settings.replicas)
    selection = selected(settings, repositories, Router(settings))
    errand = _Errand(
        settings=settings,
        arguments=repositories,
        replicas=names,
        selection=selection,
        clock=SystemClock(),
    )
    try:
        with display(settings.log, errand.clock) as shown:
            done = anyio.run(_sync, errand, shown)
    except UnknownRepository as error:
        raise click.BadParameter(str(error), param_hint="REPO") from error
    if done["refused"]:
        raise click.BadParameter(done["refused"], param_hint="REPO")
    if as_json:
        print_json(done)
    else:
        _show(done)
    if not done["complete"]:
        click.get_current_context().exit(Exit.NO)


async def _sync(errand: _Errand, shown: Display) -> SyncDocument:
    """Have the daemon do it; where none runs, do it here."""
    admin = errand.settings.admin
    try:
        async with open_client(admin.listen.host, admin.listen.port, admin.token) as daemon:
            try:
                begun = await daemon.sync(errand.arguments, errand.replicas)
            except NoDaemon:
                return await _sync_here(errand, shown)
            return await _follow(daemon, begun, errand, shown)
    except BaseExceptionGroup as errors:
        raise first_error(errors) from errors


async def _follow(daemon: AdminClient, begun: SyncDocument, errand: _Errand, shown: Display) -> SyncDocument:
    """Look how far the daemon is until it has ended; a signal ends only the looking."""
    last = begun

    async def look() -> None:
        nonlocal last
        while not last["ended"]:
            await errand.clock.sleep(SHOWN_EVERY)
            last = await daemon.sync_progress(begun["id"])
            shown.update(last)

    if not await _until_told_to_stop(look):
        click.echo("The daemon goes on with it.", err=True)
    return last


async def _sync_here(errand: _Errand, shown: Display) -> SyncDocument:
    settings, clock = errand.settings, errand.clock
    metrics = Metrics(Scope.of(settings, version=__version__), clock=clock)
    sources = (one.source for one in settings.replicas if one.name in errand.replicas)
    needed = tuple(dict.fromkeys((*errand.replicas, *sources)))
    store = await open_store(settings.store, clock=clock, rng=random.Random(), observer=metrics)  # noqa: S311 -- pauses
    try:
        async with (
            open_registries(settings, needed, clock, observer=metrics) as clients,
            sync_with_own_lanes(
                settings,
                errand.replicas,
                errand.selection,
                registries=clients,
                store=store,
                metrics=metrics,
                clock=clock,
            ) as run,
        ):
            await _until_told_to_stop(partial(_run, run, errand, shown))
            return document(run.progress())
    finally:
        await store.close()


async def _run(run: Sync, errand: _Errand, shown: Display) -> None:
    async def show() -> None:
        while True:
            shown.update(document(run.progress()))
            await errand.clock.sleep(SHOWN_EVERY)

    async with anyio.create_task_group() as group:
        group.start_soon(show)
        await run.run()
        group.cancel_scope.cancel()
    shown.update(document(run.progress()))


async def _until_told_to_stop(work: Callable[[], Awaitable[None]]) -> bool:
    """Do the work, and say whether it came to its end; SIGINT and SIGTERM end it where it is."""
    done = False

    async def stop_when_told(scope: anyio.CancelScope) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                scope.cancel()

    async with anyio.create_task_group() as group:
        if threading.current_thread() is threading.main_thread():  # no other is told of signals
            group.start_soon(stop_when_told, group.cancel_scope)
        await work()
        done = True
        group.cancel_scope.cancel()
    return done


def _show(done: SyncDocument) -> None:
    rows = [
        (
            one["replica"],
            "equal" if one["complete"] and done["searched"] and done["ended"] else "not equal",
            str(one["found"]),
            str(one["put"]),
            bytes_text(one["bytes_sent"]),
            bytes_text(one["bytes_mounted"]),
            str(one["failed"]),
            one["problem"] or "-",
        )
        for one in done["replicas"]
    ]
    print_table(("REPLICA", "RESULT", "DIFFERED", "PUT", "SENT", "MOUNTED", "FAILED", "PROBLEM"), rows)
    for failed in done["failed"]:
        where = f"{failed['replica']}: {failed['repository']} {failed['reference']}"
        click.echo(f"{where}: {failed['message']}", err=True)
    for problem in done["problems"]:
        click.echo(f"not looked at: {problem}", err=True)
    if not done["ended"] or not done["searched"]:
        click.echo("Not all was looked at; the next sync goes on.", err=True)
