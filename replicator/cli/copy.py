"""`replicator copy`: one reference now, in the foreground, without the store."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
import click

from replicator.admin.reference import parse_ref, ref_text
from replicator.cli.invocation import Exit, Invocation, chosen_replicas
from replicator.cli.output import bytes_text, print_json, print_table
from replicator.cli.registries import open_registries
from replicator.clock import SystemClock
from replicator.errors import NameInvalid, ReplicatorError
from replicator.model import Reference, Repository, parse_tag
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.replication.one_shot import CopyReport, Order, copy_reference
from replicator.replication.shared_reads import SharedReads
from replicator.routing import Router
from replicator.settings.schema import PRIMARY, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What to copy where, and the reference it gets there."""

    repository: Repository
    reference: Reference
    published: Reference
    replicas: tuple[str, ...]


@click.command("copy")
@click.argument("ref")
@click.option(
    "--replica", "replicas", metavar="NAME", multiple=True, help="Copy to this one; may stand several times."
)
@click.option("--tag", help="Tag it gets on the replica; absent: as REF says.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def copy(invocation: Invocation, ref: str, replicas: tuple[str, ...], tag: str | None, *, as_json: bool) -> None:
    """Copy REF from the primary now and say what was sent.

    REF is repository:tag or repository@digest. Without --replica: to all replicas that a rule sends REF to; with it,
    also where none does. The platforms and referrers of a replica's rule count; with no rule, all platforms are
    copied and no referrers. Works beside a running daemon.
    """
    settings = invocation.settings()
    try:
        repository, reference = parse_ref(ref, settings.primary.url)
        published = reference if tag is None else parse_tag(tag)
    except NameInvalid as error:
        raise click.UsageError(str(error)) from error
    names = chosen_replicas(settings, replicas) or Router(settings).replicas_for(repository, reference)
    if not names:
        raise ReplicatorError(f"no rule sends {ref_text(repository, reference)} anywhere; name a --replica")
    job = _Job(repository=repository, reference=reference, published=published, replicas=names)
    configure_logs(settings.log, sys.stderr, clock=SystemClock())
    results = anyio.run(_copy_to_all, settings, job)
    if as_json:
        print_json({"copies": [_document(name, results[name]) for name in names]})
    else:
        _show(names, results)
    if not all(isinstance(result, CopyReport) and not result.set_aside for result in results.values()):
        click.get_current_context().exit(Exit.NO)


async def _copy_to_all(settings: Settings, job: _Job) -> dict[str, CopyReport | ReplicatorError]:
    clock, router = SystemClock(), Router(settings)
    metrics = Metrics(Scope(replicas=tuple(item.name for item in settings.replicas)), clock=clock)
    results: dict[str, CopyReport | ReplicatorError] = {}
    async with (
        open_registries(settings, job.replicas, clock) as clients,
        SharedReads(clock=clock, on_read=metrics.source_bytes_read) as reads,
        anyio.create_task_group() as group,
    ):

        async def copy_to(name: str, prefix: str) -> None:
            order = Order(
                repository=job.repository,
                reference=job.reference,
                published=job.published,
                prefix=prefix,
                policy=router.policy(name, job.repository, job.reference),
            )
            try:
                results[name] = await copy_reference(
                    order, source=clients[PRIMARY], replica=clients[name], reads=reads, metrics=metrics, clock=clock
                )
            except ReplicatorError as error:
                results[name] = error

        for replica in settings.replicas:
            if replica.name in job.replicas:
                group.start_soon(copy_to, replica.name, replica.repository_prefix)
    return results


def _document(name: str, result: CopyReport | ReplicatorError) -> dict[str, object]:
    if isinstance(result, ReplicatorError):
        return {"replica": name, "ok": False, "reason": str(result.reason), "message": str(result)}
    return {
        "replica": name,
        "ok": True,
        "ref": ref_text(result.repository, result.reference),
        "digest": str(result.digest),
        "result": str(result.result),
        "bytes_sent": result.bytes_sent,
        "bytes_mounted": result.bytes_mounted,
        "bytes_present": result.bytes_present,
        "seconds": round(result.seconds, 3),
        "set_aside": list(result.set_aside),
    }


def _show(names: Sequence[str], results: dict[str, CopyReport | ReplicatorError]) -> None:
    rows: list[tuple[str, ...]] = []
    for name in names:
        result = results[name]
        if isinstance(result, ReplicatorError):
            rows.append((name, "failed", "-", "-", "-", "-", str(result)))
        else:
            amounts = (result.bytes_sent, result.bytes_mounted, result.bytes_present)
            sizes = map(bytes_text, amounts)
            rows.append((name, str(result.result), *sizes, f"{result.seconds:.2f}", str(result.digest)))
    print_table(("REPLICA", "RESULT", "SENT", "MOUNTED", "PRESENT", "SECONDS", "DIGEST OR ERROR"), rows)
    for name, result in results.items():
        for problem in () if isinstance(result, ReplicatorError) else result.set_aside:
            click.echo(f"{name}: not brought: {problem}", err=True)
