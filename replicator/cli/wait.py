"""`replicator wait`: the gate before a deploy."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import click

from replicator.admin.client import NoDaemon, open_client
from replicator.admin.documents import AwaitedReplica, Failure, WaitDocument
from replicator.admin.presence import RegistryPresence
from replicator.admin.queries import TIMEOUT_MAX
from replicator.admin.reference import ref_text
from replicator.admin.targets import targets
from replicator.cli.invocation import Exit, Invocation, chosen_replicas, ref_argument
from replicator.cli.output import print_json, print_table
from replicator.cli.registries import open_registries
from replicator.clock import SystemClock
from replicator.errors import ReplicatorError
from replicator.model import Digest, Reference, Repository
from replicator.routing import Router
from replicator.settings.schema import PRIMARY, Settings
from replicator.settings.units import parse_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    repository: Repository
    reference: Reference
    replicas: tuple[str, ...]
    within: float


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a duration: write 30s, 5m or 1h", ctx, param) from error
    if seconds > TIMEOUT_MAX:
        raise click.BadParameter(f"{value} is more than {TIMEOUT_MAX:g} s", ctx, param)
    return seconds


@click.command("wait", short_help="Wait until REF is complete on the replicas.")
@click.argument("ref")
@click.option(
    "--replica", "replicas", metavar="NAME", multiple=True, help="Wait for this one; may stand several times."
)
@click.option("--timeout", callback=_seconds, default="5m", show_default=True, help="Longest wait.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def wait(invocation: Invocation, ref: str, replicas: tuple[str, ...], timeout: float, *, as_json: bool) -> None:
    """Wait until what REF names on the primary now is complete on the replicas.

    REF is repository:tag or repository@digest. By digest, even if the tag moves on meanwhile; prints the digest,
    which is what to deploy. Without --replica: all replicas that a rule sends REF to.
    """
    settings = invocation.settings()
    repository, reference = ref_argument(settings, ref)
    question = _Question(
        repository=repository,
        reference=reference,
        replicas=chosen_replicas(settings, replicas),
        within=timeout,
    )
    document = anyio.run(_wait, settings, question)
    if as_json:
        print_json(document)
    else:
        _show(document)
    if not document["complete"]:
        click.get_current_context().exit(Exit.NO)


async def _wait(settings: Settings, question: _Question) -> WaitDocument:
    listen = settings.admin.listen
    try:
        async with open_client(listen.host, listen.port, settings.admin.token) as client:
            ref = ref_text(question.repository, question.reference)
            return await client.wait(ref, question.replicas, question.within)
    except NoDaemon as error:
        return await _look_once(settings, question, str(error))


async def _look_once(settings: Settings, question: _Question, no_daemon: str) -> WaitDocument:
    """Ask the registries themselves: with no daemon there is nothing to wait for."""
    clock = SystemClock()
    started = clock.monotonic()
    where = targets(Router(settings), question.repository, question.reference, question.replicas)
    document = WaitDocument(
        ref=ref_text(question.repository, question.reference), digest=None, complete=False, replicas=[], seconds=0.0
    )
    if where.refusal:
        document["error"] = Failure(code="no_rule", message=where.refusal)
        return document
    async with open_registries(settings, where.replicas, clock) as clients:
        found = await clients[PRIMARY].stat_manifest(question.repository, question.reference)
        if found is None:
            document["error"] = Failure(code="no_such_reference", message=f"the primary has no {document['ref']}")
            return document
        presence = RegistryPresence(clients, {item.name: item.repository_prefix for item in settings.replicas})
        document["digest"] = str(found.digest)
        document["replicas"] = await _held(presence, question.repository, found.digest, where.replicas)
    document["complete"] = all(item["complete"] for item in document["replicas"])
    document["seconds"] = round(clock.monotonic() - started, 3)
    if not document["complete"]:
        document["error"] = Failure(code="no_daemon", message=f"not complete, and {no_daemon}: nothing will bring it")
    return document


async def _held(
    presence: RegistryPresence, repository: Repository, digest: Digest, replicas: Sequence[str]
) -> list[AwaitedReplica]:
    answers: dict[str, AwaitedReplica] = {}

    async def ask(name: str) -> None:
        waiting_for = "not there"
        complete = False
        try:
            complete = await presence.holds(name, repository, digest)
        except ReplicatorError as error:
            waiting_for = str(error)
        answers[name] = AwaitedReplica(replica=name, complete=complete, waiting_for="" if complete else waiting_for)

    async with anyio.create_task_group() as group:
        for name in replicas:
            group.start_soon(ask, name)
    return [answers[name] for name in replicas]


def _show(document: WaitDocument) -> None:
    if document["digest"]:
        click.echo(f"{document['ref']} is {document['digest']}")
    if document["replicas"]:
        rows = [
            (item["replica"], "yes" if item["complete"] else "no", item["waiting_for"] or "-")
            for item in document["replicas"]
        ]
        print_table(("REPLICA", "COMPLETE", "WAITING FOR"), rows)
    if "error" in document:
        click.echo(f"replicator: {document['error']['message']}", err=True)
