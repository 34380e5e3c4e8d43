"""`replicator status`: what each replica owes, how late it is, and why."""

import anyio
import click

from replicator.admin.documents import DeletesStatus, ReplicaStatus, RowStatus, StatusDocument
from replicator.admin.status import Listing, StatusQuery, read_status
from replicator.cli.invocation import Invocation, chosen_replicas
from replicator.cli.output import counted, print_json, print_table, seconds_text
from replicator.cli.store_access import ask_daemon, ask_daemon_or_store
from replicator.clock import SystemClock
from replicator.settings.schema import Settings

WATCH_EVERY = 2.0


@click.command("status")
@click.option("--watch", is_flag=True, help="Show it again every two seconds, until interrupted.")
@click.option("--owed", "listed", flag_value="owed", help="List the owed rows, parked ones included.")
@click.option("--parked", "listed", flag_value="parked", help="List the parked rows.")
@click.option("--ignored", "listed", flag_value="ignored", help="List what is ignored by decision.")
@click.option("--replica", metavar="NAME", help="Only this replica.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Most rows listed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def status(
    invocation: Invocation,
    *,
    watch: bool,
    listed: str | None,
    replica: str | None,
    limit: int,
    as_json: bool,
) -> None:
    """Show state, lag and debts of each replica.

    Asks the running daemon. Where none runs, reads the store itself.
    """
    settings = invocation.settings()
    chosen_replicas(settings, (replica,) if replica else ())
    query = StatusQuery(listing=None if listed is None else Listing(listed), replica=replica, limit=limit)
    if watch:
        try:
            anyio.run(_watch, settings, query, as_json)
        except KeyboardInterrupt:
            return
    else:
        _show(anyio.run(_status, settings, query), as_json=as_json)


async def _status(settings: Settings, query: StatusQuery) -> StatusDocument:
    labels = {item.name: item.labels for item in settings.replicas}
    return await ask_daemon_or_store(
        settings, lambda daemon: daemon.status(query), lambda store: read_status(store, labels, None, query)
    )


async def _watch(settings: Settings, query: StatusQuery, as_json: bool) -> None:  # noqa: FBT001 -- anyio.run passes positions only
    clock = SystemClock()
    while True:
        document = await ask_daemon(settings, lambda daemon: daemon.status(query))
        if not as_json:
            click.clear()
        _show(document, as_json=as_json, compact=True)
        await clock.sleep(WATCH_EVERY)


def _show(document: StatusDocument, *, as_json: bool, compact: bool = False) -> None:
    if as_json:
        print_json(document, compact=compact)
        return
    if not document["daemon"]:
        click.echo("No daemon is running; this is what the store says.")
    if "rows" in document:
        _show_rows(document["rows"])
        if document.get("next"):
            click.echo("There are more; see --limit.")
        return
    headers = (
        "REPLICA",
        "STATE",
        "LAG",
        "OWED",
        "PARKED",
        "IGNORED",
        "FAILING",
        "INFLIGHT",
        "LAST SUCCESS",
        "LAST ERROR",
    )
    print_table(headers, [_replica(item, document["read_at"]) for item in document["replicas"]])
    for item in document["replicas"]:
        _show_deletes(item["name"], item["deletes"])


def _show_deletes(name: str, deletes: DeletesStatus) -> None:
    """Tell of what the primary lost, where there is any."""
    if deletes["stopped_since"] is not None:
        waiting = counted(deletes["pending"], "waits", "wait")
        click.echo(f"{name}: deletes are stopped, {waiting}; replicator resume {name} --deletes")
    elif deletes["pending"]:
        doomed = counted(deletes["pending"], "tag or manifest is", "tags and manifests are")
        click.echo(f"{name}: {doomed} to be deleted")
    if deletes["left"]:
        why = ", ".join(f"{reason}: {count}" for reason, count in sorted(deletes["left"].items()))
        click.echo(f"{name}: tags and manifests that the primary lost stay ({why})")


def _replica(item: ReplicaStatus, now: float) -> tuple[str, ...]:
    failing = " ".join(f"{reason}:{count}" for reason, count in sorted(item["failing"].items()) if count)
    success = item["last_success"]
    return (
        item["name"],
        "stopped, paused" if item["state"] == "stopped" and item["paused_since"] is not None else item["state"],
        seconds_text(item["lag_seconds"]),
        str(item["owed"]),
        str(item["parked"]),
        str(item["ignored"]),
        failing or "-",
        str(item["inflight"]),
        "-" if success is None else f"{seconds_text(max(0.0, now - success))} ago",
        item["last_error"] or "-",
    )


def _show_rows(rows: list[RowStatus]) -> None:
    headers = ("REPLICA", "REFERENCE", "STATE", "OWED FOR", "ATTEMPTS", "REASON", "MESSAGE")
    print_table(
        headers,
        [
            (
                row["replica"],
                f"{row['repository']}{'@' if ':' in row['reference'] else ':'}{row['reference']}",
                row["state"],
                seconds_text(row["owed_seconds"]),
                str(row["attempts"]),
                row["reason"] or "-",
                row["message"] or "-",
            )
            for row in rows
        ],
    )
