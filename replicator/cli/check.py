"""`replicator check`: whether the daemon can work with each registry, as things are now."""

from collections.abc import Sequence
from dataclasses import asdict

import anyio
import click

from replicator.cli.invocation import Exit, Invocation
from replicator.cli.output import print_json, print_table
from replicator.cli.probe import Finding, probe
from replicator.cli.registries import open_registries
from replicator.clock import SystemClock
from replicator.settings.schema import Endpoint, PrimarySettings, ReplicaSettings, Settings


@click.command("check", short_help="Prove each registry: reachable, may pull, may push.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(invocation: Invocation, *, as_json: bool) -> None:
    """Prove each registry: reachable, credentials good, may pull or push.

    On each replica an upload session is opened in the repository `replicator-check` and cancelled, and a few small
    questions prove what the registry can do; nothing with a name is left there.
    """
    settings = invocation.settings()
    findings = anyio.run(_probe_all, settings)
    if as_json:
        print_json(_document(findings, settings.webhooks.endpoints))
    else:
        _show(findings, settings)
    if not all(finding.ok for finding in findings):
        click.get_current_context().exit(Exit.NO)


async def _probe_all(settings: Settings) -> list[Finding]:
    clock = SystemClock()
    registries: tuple[PrimarySettings | ReplicaSettings, ...] = (settings.primary, *settings.replicas)
    findings: dict[str, Finding] = {}
    names = [registry.name for registry in settings.replicas]
    async with open_registries(settings, names, clock) as clients, anyio.create_task_group() as group:

        async def examine(registry: PrimarySettings | ReplicaSettings) -> None:
            findings[registry.name] = await probe(registry, clients[registry.name], clock)

        for registry in registries:
            group.start_soon(examine, registry)
    return [findings[registry.name] for registry in registries]


def _document(findings: Sequence[Finding], endpoints: Sequence[Endpoint]) -> dict[str, object]:
    return {
        "ok": all(finding.ok for finding in findings),
        "registries": [{**asdict(finding), "ok": finding.ok} for finding in findings],
        "webhooks": [
            {
                "name": item.name,
                "path": item.path,
                "format": item.format,
                "hosts": list(item.hosts),
                "auth": _auth(item),
            }
            for item in endpoints
        ],
    }


def _show(findings: Sequence[Finding], settings: Settings) -> None:
    headers = ("REGISTRY", "URL", "RESULT", "MAY", "CATALOG", "TAGS LIST", "SECONDS", "PROBLEM")
    print_table(headers, [_line(finding) for finding in findings])
    for finding in findings:
        if finding.capabilities:
            told = ", ".join(f"{name} {'yes' if holds else 'no'}" for name, holds in finding.capabilities.items())
            click.echo(f"{finding.name} can: {told}")
        if finding.reachable and finding.unknown:
            click.echo(f"{finding.name}, unknown until first use: {', '.join(finding.unknown)}")
        if finding.advice:
            click.echo(f"{finding.name}: {finding.advice}")
    endpoints = settings.webhooks.endpoints
    if not endpoints:
        click.echo("No webhook endpoint: nobody tells the daemon of pushes.")
    for item in endpoints:
        hosts = ", ".join(item.hosts) or "any host"
        click.echo(
            f"webhooks {item.name}: {settings.webhooks.listen}{item.path}, {item.format}, {hosts}, auth {_auth(item)}"
        )


def _line(finding: Finding) -> tuple[str, ...]:
    result = "ok" if finding.ok else "failed" if finding.reachable else "unreachable"
    return (
        finding.name,
        finding.url,
        result,
        finding.may,
        finding.catalog,
        finding.tags_list,
        f"{finding.seconds:.2f}",
        finding.problem or "-",
    )


def _auth(endpoint: Endpoint) -> str:
    if endpoint.auth is None:
        return "none"
    used = endpoint.auth.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(sorted(key.removesuffix("_file").removesuffix("_env") for key in used))
