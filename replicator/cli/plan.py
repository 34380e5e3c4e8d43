"""`replicator plan`: what a sweep would do now; writes nothing."""

import sys
from dataclasses import dataclass

import anyio
import click

from replicator.cli.invocation import Exit, Invocation, chosen_replicas
from replicator.cli.output import bytes_text, counted, print_json, print_table
from replicator.cli.registries import open_registries
from replicator.cli.repositories import selected
from replicator.clock import SystemClock
from replicator.forecast.amounts import Amount, Forecast, Problem, RepositoryForecast
from replicator.forecast.forecaster import Forecaster, Means
from replicator.forecast.replica_rows import Replica
from replicator.observability.logs import configure_logs
from replicator.observability.metrics import Metrics, Scope
from replicator.routing import Router
from replicator.settings.schema import PRIMARY, Settings
from replicator.store.glimpse import glimpse
from replicator.sweep.selection import Selection, UnknownRepository


@dataclass(frozen=True, slots=True)
class _Answer:
    forecast: Forecast
    store_problem: str


@click.command("plan", short_help="Say what a sweep would do now; write nothing.")
@click.argument("repositories", metavar="[REPO]...", nargs=-1)
@click.option(
    "--replica", "replicas", metavar="NAME", multiple=True, help="Only for this one; may stand several times."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def plan(invocation: Invocation, repositories: tuple[str, ...], replicas: tuple[str, ...], *, as_json: bool) -> None:
    """Say what a sweep would do now: references to put, blobs and bytes to send, to mount, already there.

    REPO is a repository's name or a pattern as in rules; without one, all that sweeps compare. Asks the primary and
    the replicas themselves, and writes nothing there or here; works beside a running daemon and without one.

    Ends with 0 when it could look everywhere, whatever it found, else with 1.
    """
    settings = invocation.settings()
    names = chosen_replicas(settings, replicas) or tuple(one.name for one in settings.replicas)
    router = Router(settings)
    selection = selected(settings, repositories, router)
    configure_logs(settings.log, sys.stderr, clock=SystemClock())
    try:
        answer = anyio.run(_plan, settings, names, router, selection)
    except UnknownRepository as error:
        raise click.BadParameter(str(error), param_hint="REPO") from error
    if as_json:
        print_json(_document(answer.forecast))
    else:
        _show(answer.forecast)
    if answer.store_problem:
        click.echo(f"The store cannot be read, so known blobs count as to send: {answer.store_problem}", err=True)
    if answer.forecast.problems:
        click.get_current_context().exit(Exit.NO)


async def _plan(settings: Settings, names: tuple[str, ...], router: Router, selection: Selection) -> _Answer:
    clock = SystemClock()
    metrics = Metrics(Scope(replicas=names), clock=clock)
    async with (
        open_registries(settings, names, clock, observer=metrics) as clients,
        glimpse(settings.store) as memory,
    ):
        primary = clients[PRIMARY]
        replicas = {
            one.name: Replica(clients[one.name], one.repository_prefix)
            for one in settings.replicas
            if one.name in names
        }
        means = Means(
            primary=primary,
            replicas=replicas,
            rules=router,
            memory=memory,
            decided=memory,
            counts=metrics.sweeps,
            clock=clock,
        )
        forecast = await Forecaster(means).forecast(selection.repositories(primary))
        return _Answer(forecast, memory.problem)


def _document(forecast: Forecast) -> dict[str, object]:
    return {
        "complete": not forecast.problems,
        "repositories": forecast.repositories,
        "replicas": [
            {
                "name": name,
                "complete": not any(one.replica in {name, None} for one in forecast.problems),
                **_figures(forecast.total(name)),
                "repositories": [{"repository": one.repository, **_figures(one)} for one in repositories],
            }
            for name, repositories in forecast.replicas.items()
        ],
        "problems": [
            {
                "replica": one.replica,
                "repository": one.repository,
                "reference": None if one.reference is None else str(one.reference),
                "reason": str(one.error.reason),
                "message": str(one.error),
            }
            for one in forecast.problems
        ],
    }


def _figures(one: RepositoryForecast) -> dict[str, object]:
    return {
        "references": {"new": one.new, "different": one.different, "kept": one.kept, "extra": one.extra},
        "send": _amount(one.send),
        "mount": _amount(one.mount),
        "present": _amount(one.present),
    }


def _amount(amount: Amount) -> dict[str, int]:
    return {"blobs": amount.blobs, "bytes": amount.bytes}


def _show(forecast: Forecast) -> None:
    rows: list[tuple[str, ...]] = []
    for name, repositories in forecast.replicas.items():
        rows += [_row(name, one.repository, one) for one in repositories]
        if len(repositories) > 1:
            rows.append(_row(name, "all of them", forecast.total(name)))
    if rows:
        print_table(
            ("REPLICA", "REPOSITORY", "NEW", "DIFFERENT", "KEPT", "EXTRA", "TO SEND", "TO MOUNT", "THERE"), rows
        )
    for name in forecast.replicas:
        if forecast.total(name).to_put == 0 and not any(one.replica in {name, None} for one in forecast.problems):
            click.echo(f"{name}: nothing to do in {counted(forecast.repositories, 'repository', 'repositories')}")
    for problem in forecast.problems:
        click.echo(f"{_where(problem)}: {problem.error}", err=True)


def _row(name: str, repository: str, one: RepositoryForecast) -> tuple[str, ...]:
    counts = (str(count) for count in (one.new, one.different, one.kept, one.extra))
    amounts = (f"{amount.blobs} / {bytes_text(amount.bytes)}" for amount in (one.send, one.mount, one.present))
    return (name, repository, *counts, *amounts)


def _where(problem: Problem) -> str:
    what = [problem.replica or PRIMARY]
    if problem.repository is not None:
        what.append(problem.repository + ("" if problem.reference is None else f" {problem.reference}"))
    return f"not known of {', '.join(what)}"
