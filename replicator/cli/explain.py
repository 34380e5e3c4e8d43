"""`replicator explain`: one answer to where a reference is, and why it is not there yet."""

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio
import click

from replicator.admin.client import AdminClient
from replicator.admin.explain_documents import (
    ExplainDocument,
    ExplainedReplica,
    HeardEvent,
    QueuedRow,
    RefusedRule,
    ReplicaLook,
)
from replicator.admin.explaining import Explainer, Parts, Question
from replicator.admin.reference import ref_text
from replicator.cli.invocation import Exit, Invocation, chosen_replicas, ref_argument
from replicator.cli.output import counted, print_json, print_table, printable, seconds_text
from replicator.cli.registries import open_registries
from replicator.cli.store_access import ask_daemon_or_store
from replicator.clock import SystemClock
from replicator.heard import Unheeded
from replicator.model import ChangeKind
from replicator.replication.inspection import open_inspector
from replicator.routing import Mismatch, Router
from replicator.settings.schema import PRIMARY, Settings
from replicator.store.store import Store
from replicator.store.sweeps import Sweeps

_WHY = {
    Mismatch.REPLICAS: "is for other replicas",
    Mismatch.REPOSITORIES: "is for other repositories",
    Mismatch.TAGS: "is for other tags",
    Mismatch.REFERRERS: "sends no referrers along",
}
_UNHEEDED = {
    Unheeded.NO_RULE: "nothing: no rule wants it",
    Unheeded.OTHER_HOST: "nothing: it names another host",
}


@click.command("explain", short_help="Say where REF is, and why it is not there yet.")
@click.argument("ref")
@click.option("--replica", "replicas", metavar="NAME", multiple=True, help="Only there; may stand several times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def explain(invocation: Invocation, ref: str, replicas: tuple[str, ...], *, as_json: bool) -> None:
    """Say for each replica where REF is, and why it is not there yet. Changes nothing.

    Which rule sends it (or of each rule why not), its place in the queue, the last error, what is missing on the
    replica now, when it is tried next; and the last ten events about it, with what came of each.

    Asks the running daemon. Where none runs, reads the store and asks the registries itself. Exit code 1 when it is
    not there and will not be by itself: no rule sends it, it is parked, paused, ignored, missing, or nobody can tell.
    """
    settings = invocation.settings()
    repository, reference = ref_argument(settings, ref)
    every = tuple(replica.name for replica in settings.replicas)
    chosen = chosen_replicas(settings, replicas)
    question = Question(repository=repository, reference=reference, replicas=chosen or every, named=bool(chosen))
    document = anyio.run(_explain, settings, question)
    if as_json:
        print_json(document)
    else:
        _show(document)
    if not document["ok"]:
        click.get_current_context().exit(Exit.NO)


async def _explain(settings: Settings, question: Question) -> ExplainDocument:
    async def ask(daemon: AdminClient) -> ExplainDocument:
        names = question.replicas if question.named else ()
        return await daemon.explain(ref_text(question.repository, question.reference), names)

    async def look(store: Store) -> ExplainDocument:
        clock = SystemClock()
        async with open_registries(settings, question.replicas, clock) as clients:
            parts = Parts(
                store=store,
                comparisons=Sweeps(store),
                lanes=None,
                source=clients[PRIMARY],
                looks=open_inspector(settings, clients),
                rules=Router(settings),
                clock=clock,
            )
            return await Explainer(parts).explain(question)

    return await ask_daemon_or_store(settings, ask, look)


def _show(document: ExplainDocument) -> None:
    primary, now = document["primary"], document["read_at"]
    if not document["daemon"]:
        _say("No daemon is running; this is what the store and the registries say.")
    if primary["error"]:
        _say(f"{document['ref']}: the primary does not tell what it names: {primary['error']}")
    elif primary["digest"] is None:
        _say(f"The primary has no {document['ref']}.")
    else:
        _say(f"{document['ref']} is {primary['digest']} on the primary.")
    for unread in document["unread"]:
        age = seconds_text(max(0.0, now - unread["received_at"]))
        _say(f"A delivery that mentions it could not be read {age} ago at {unread['endpoint']}: {unread['reason']}")
    for replica in document["replicas"]:
        _say(f"\n{replica['replica']}: {replica['verdict'].replace('_', ' ')}: {replica['message']}")
        for label, text in _lines(replica, now):
            _say(f"  {label:<9}{text}")
    _show_events(document["events"], now)


def _show_events(events: Sequence[HeardEvent], now: float) -> None:
    if not events:
        _say("\nNo event about it is kept.")
        return
    _say("\nEvents about it, the newest first:")
    print_table(("RECEIVED", "BY", "SAID", "MADE IT", "DELIVERY"), [_event(one, now) for one in events])


def _say(text: str) -> None:
    for line in text.split("\n"):
        click.echo(printable(line))


def _lines(replica: ExplainedReplica, now: float) -> list[tuple[str, str]]:
    lines = [] if replica["rule"] is None else [("rule", _rule(replica["rule"], replica["rule_line"]))]
    lines += [("not by", _refused(one)) for one in replica["refused"]]
    queue, look = replica["queue"], replica["look"]
    if queue is not None:
        lines += _queue(queue, now)
    if replica["lane"] not in {"running", "stopped"}:
        lines.append(("lane", replica["lane"]))
    if look is not None:
        lines += _look(look)
    if replica["next_at"] is not None:
        lines.append(("next", _when(replica["next_at"], now)))
    return lines


def _rule(number: int, line: int | None) -> str:
    if not number:
        return "none is configured: everything goes everywhere"
    return str(number) if line is None else f"{number}, on line {line} of the configuration"


def _refused(one: RefusedRule) -> str:
    patterns = f": {', '.join(one['patterns'])}" if one["patterns"] else ""
    place = f"rule {one['rule']}" if one["line"] is None else f"rule {one['rule']} (line {one['line']})"
    return f"{place} {_WHY[Mismatch(one['reason'])]}{patterns}"


def _queue(queue: QueuedRow, now: float) -> list[tuple[str, str]]:
    state = f"{queue['state']}, {queue['priority']} priority"
    if queue["owed_since"] is not None:
        state += f", owed for {seconds_text(max(0.0, now - queue['owed_since']))}"
        state += f" ({counted(queue['changes'], 'change')})"
    state += f", {queue['before']} due before it" if queue["before"] else ""
    lines = [("queue", state)]
    if queue["wanted"] is not None:
        lines.append(("wanted", queue["wanted"]))
    if queue["have"] is not None:
        lines.append(("settled", queue["have"]))
    if queue["told_by"]:
        lines.append(("told by", f"delivery {queue['told_by']}"))
    if queue["reason"] is not None:
        tries = counted(queue["attempts"], "try", "tries")
        if queue["failing_since"] is not None:
            tries += f" in {seconds_text(max(0.0, now - queue['failing_since']))}"
        lines.append(("error", f"{queue['reason']} after {tries}: {queue['message']}"))
    return lines


def _look(look: ReplicaLook) -> list[tuple[str, str]]:
    if look["error"]:
        return [("replica", look["error"])]
    lines = [("replica", f"names {look['digest']}" if look["digest"] else "names nothing")]
    if look["lacking"]:
        lines.append(("missing", f"{look['lacking']} of {counted(look['asked'], 'part')}"))
        lines += [("", f"{one['part']} {one['digest']} ({counted(one['size'], 'byte')})") for one in look["missing"]]
    else:
        more = f", {counted(look['unasked'], 'more was', 'more were')} not asked for" if look["unasked"] else ""
        lines.append(("missing", f"nothing of {counted(look['asked'], 'part')}{more}"))
    return lines


def _event(one: HeardEvent, now: float) -> tuple[str, ...]:
    received = f"{seconds_text(max(0.0, now - one['received_at']))} ago"
    late = 0.0 if one["happened_at"] is None else one["received_at"] - one["happened_at"]
    if late >= 1:
        received += f", {seconds_text(late)} late"
    said = one["kind"] if one["digest"] is None else f"{one['kind']} {one['digest']}"
    return (received, one["endpoint"] or "an operator", said, _made(one), one["delivery"])


def _made(one: HeardEvent) -> str:
    if one["unheeded"] is not None:
        return _UNHEEDED[Unheeded(one["unheeded"])]
    owed = "to be deleted" if one["kind"] == ChangeKind.DELETE else "owed"
    counts = ((owed, one["owed"]), ("owed still", one["merged"]), ("known", one["known"]))
    return ", ".join(f"{word} on {count}" for word, count in counts if count) or "nothing"


def _when(at: float, now: float) -> str:
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"in {seconds_text(at - now)}, {moment}" if at > now else f"now, due {moment}"
