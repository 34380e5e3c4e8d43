"""`replicator verify`: replicas held against the primary, as they really are."""

from collections.abc import AsyncIterator, Mapping

import anyio
import click

from replicator.audit.auditor import Auditor, Means
from replicator.audit.holdings import Holdings, Manifests
from replicator.cli.audit_progress import shown_progress
from replicator.cli.audit_report import AuditReport
from replicator.cli.debts import Debts
from replicator.cli.invocation import Exit, Invocation, chosen_replicas
from replicator.cli.registries import open_registries
from replicator.clock import SystemClock
from replicator.errors import RegistryError, ReplicatorError
from replicator.model import Priority, Repository
from replicator.registry.client import RegistryClient
from replicator.registry.urgency import Urgency, urgent
from replicator.routing import Router
from replicator.settings.schema import PRIMARY, ReplicaSettings, Settings
from replicator.sweep.repositories import Chosen

_AT_ONCE = 16


@click.command("verify", short_help="Hold replicas against the primary, as they really are.")
@click.argument("repositories", metavar="[REPO]...", nargs=-1)
@click.option("--replica", "replicas", metavar="NAME", multiple=True, help="Only this one; may stand several times.")
@click.option("--deep", is_flag=True, help="Read every manifest and blob back from the replica and hash it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def verify(
    invocation: Invocation,
    repositories: tuple[str, ...],
    replicas: tuple[str, ...],
    *,
    deep: bool,
    as_json: bool,
) -> None:
    """Find what differs on replicas, and have it mended.

    Asks each replica for every tag that a rule sends there and for all that its image needs, and the primary for what
    the tag names. REPO is a name or a pattern as in the rules; without it: all that sweeps compare. What differs
    becomes owed, and the daemon mends it; no registry is written to here. Exit code 1 when anything differs or could
    not be read.
    """
    settings = invocation.settings()
    router = Router(settings)
    chosen = Chosen(repositories or (settings.sweep.repositories if settings.sweep is not None else ()), router)
    for name in chosen.named if repositories else ():
        if name not in chosen:
            raise ReplicatorError(f"no rule sends anything of {name} anywhere")
    names = chosen_replicas(settings, replicas) or tuple(one.name for one in settings.replicas)
    report = anyio.run(_verify, settings, chosen, names, deep, bool(repositories))
    if as_json:
        report.print_json()
    else:
        report.print_tables()
    if not report.equal:
        click.get_current_context().exit(Exit.NO)


async def _verify(
    settings: Settings,
    chosen: Chosen,
    names: tuple[str, ...],
    deep: bool,  # noqa: FBT001 -- anyio.run passes positions only
    named: bool,  # noqa: FBT001 -- the same
) -> AuditReport:
    clock, router = SystemClock(), Router(settings)
    report = AuditReport(names, Debts(settings, router, clock).owe)
    async with open_registries(settings, names, clock) as clients:
        means = Means(
            primary=clients[PRIMARY],
            replicas={name: clients[name] for name in names},
            holdings=_holdings(settings, names, clients, report if deep else None),
            rules=router,
            report=report,
            clock=clock,
            named=frozenset(chosen.named if named else ()),
            propagating=[name for name in names if _propagates(settings, name)],
        )
        try:
            with urgent(Urgency(Priority.LOW)):
                async with shown_progress(report, clock):
                    await Auditor(means).audit(_repositories(clients[PRIMARY], chosen))
        except* RegistryError as errors:
            report.broke_off(str(errors.exceptions[0]))
        finally:
            # Also when somebody interrupts it: what was found is owed.
            with anyio.CancelScope(shield=True):
                await report.settle()
    return report


def _holdings(
    settings: Settings, names: tuple[str, ...], clients: Mapping[str, RegistryClient], deep: AuditReport | None
) -> dict[str, Holdings]:
    manifests = Manifests()

    def of(replica: ReplicaSettings) -> Holdings:
        return Holdings(
            clients[replica.name],
            clients[PRIMARY],
            prefix=replica.repository_prefix,
            at_once=min(_AT_ONCE, replica.max_connections),
            manifests=manifests,
            on_read=None if deep is None else deep.read,
        )

    return {one.name: of(one) for one in settings.replicas if one.name in names}


def _propagates(settings: Settings, replica: str) -> bool:
    named = (rule for rule in settings.rules if rule.replicas is None or replica in rule.replicas)
    return any(rule.deletes == "propagate" for rule in named)


async def _repositories(primary: RegistryClient, chosen: Chosen) -> AsyncIterator[Repository]:
    for repository in chosen.named:
        if repository in chosen:
            yield repository
    if chosen.wants_catalog:
        async for repository in primary.repositories():
            if repository in chosen and repository not in chosen.named:
                yield repository
