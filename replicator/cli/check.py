"""`replicator check`: whether the daemon can work with each registry and each sender, as things are now."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from urllib.parse import urlsplit

import anyio
import click

from replicator.cli.advice import clock_remark
from replicator.cli.clock_readings import ClockReadings
from replicator.cli.feed_probe import FeedFinding, lines_of, look_at
from replicator.cli.hook_probe import HookFinding, examine, targets
from replicator.cli.invocation import Exit, Invocation
from replicator.cli.output import print_json, print_table
from replicator.cli.probe import Finding, probe
from replicator.cli.receiver_probe import ReceiverFinding, try_out
from replicator.cli.receiver_probe import lines_of as told_of
from replicator.cli.registries import open_registries
from replicator.cli.store_probe import StoreFinding
from replicator.cli.store_probe import lines_of as said_of
from replicator.cli.store_probe import look_at as look_at_store
from replicator.clock import SystemClock
from replicator.notify.receivers import Receiver, open_receivers
from replicator.proxies import proxies_of
from replicator.registry.endpoint import Endpoint
from replicator.settings.schema import PrimarySettings, ReplicaSettings, Settings, Subscription


def _hook_url(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc or set("?#") & set(value):
        # Not shown: it may hold a secret.
        raise click.BadParameter("write https://HOST or https://HOST/PATH, without ? and #", ctx, param)
    return value


@click.command("check", short_help="Prove each registry and webhook: reachable, may pull, push or deliver.")
@click.option("--hook-url", metavar="URL", callback=_hook_url, help="Deliver a test by this URL of the senders.")
@click.option("--notify", is_flag=True, help="Send a signed test message to each receiver of notifications.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def check(invocation: Invocation, *, hook_url: str | None, notify: bool, as_json: bool) -> None:
    """Prove each registry: reachable, credentials good, may pull or push. And the store, and each webhook endpoint.

    On each replica an upload session is opened in the repository `replicator-check` and cancelled, and a few small
    questions prove what the registry can do; nothing with a name is left there.

    With --hook-url each endpoint that it leads to gets two deliveries, as its sender would send them: one without
    the secret, which must be refused, and an authentic one of an event that asks for nothing.

    With --notify each receiver of notifications gets a signed message of the type `ping`.
    """
    settings = invocation.settings()
    urls = targets(settings.webhooks.endpoints, hook_url)
    found = anyio.run(partial(_probe_all, settings, urls, notify=notify))
    if as_json:
        print_json(_document(found))
    else:
        _show(found, settings)
    if not found.ok:
        click.get_current_context().exit(Exit.NO)


@dataclass(frozen=True, slots=True)
class _Found:
    """All that was found."""

    registries: Sequence[Finding]
    hooks: Sequence[HookFinding]
    feeds: Sequence[FeedFinding]
    receivers: Sequence[ReceiverFinding]
    store: StoreFinding

    @property
    def ok(self) -> bool:
        return (
            self.store.ok
            and all(one.ok for one in self.registries)
            and all(one.ok for one in self.hooks)
            and all(one.ok for one in self.feeds)
            and all(one.ok for one in self.receivers)
        )


async def _probe_all(settings: Settings, urls: dict[str, str], *, notify: bool) -> _Found:
    clock, readings = SystemClock(), ClockReadings()
    registries: tuple[PrimarySettings | ReplicaSettings, ...] = (settings.primary, *settings.replicas)
    findings: dict[str, Finding] = {}
    feeds: dict[str, FeedFinding] = {}
    hooks: list[HookFinding] = []
    receivers: dict[str, ReceiverFinding] = {}
    stores: list[StoreFinding] = []
    names = [registry.name for registry in settings.replicas]
    async with (
        open_registries(settings, names, clock, observer=readings) as clients,
        anyio.create_task_group() as group,
    ):

        async def ask(registry: PrimarySettings | ReplicaSettings) -> None:
            finding = await probe(registry, clients[registry.name], clock)
            finding.proxy = _way(registry)
            ahead = readings.ahead(registry.name)
            finding.clock_ahead = None if ahead is None else round(ahead, 1)
            finding.remarks += [remark for remark in [clock_remark(ahead)] if remark]
            findings[registry.name] = finding

        async def ask_feed(subscription: Subscription) -> None:
            feeds[subscription.name] = await look_at(subscription)

        async def ask_receiver(receiver: Receiver, events: Sequence[str]) -> None:
            receivers[receiver.name] = await try_out(receiver, events, clock, deliver=notify)

        async def ask_store() -> None:
            stores.append(await look_at_store(settings.store))

        listener = settings.webhooks
        group.start_soon(ask_store)
        for registry in registries:
            group.start_soon(ask, registry)
        for subscription in listener.subscriptions:
            group.start_soon(ask_feed, subscription)
        for receiver, said in zip(open_receivers(settings), settings.notify, strict=True):
            group.start_soon(ask_receiver, receiver, said.events)
        for one in listener.endpoints:
            url = urls.get(one.name)
            hook = await examine(one, listener.listen, url, clock, tls=listener.tls is not None)
            hooks.append(hook)
    return _Found(
        [findings[registry.name] for registry in registries],
        hooks,
        [feeds[subscription.name] for subscription in listener.subscriptions],
        [receivers[receiver.name] for receiver in settings.notify],
        stores[0],
    )


def _way(registry: PrimarySettings | ReplicaSettings) -> str:
    """Return the proxy on the way to a registry and what names it, "" for none."""
    origin = Endpoint.of(registry.url).origin
    proxy = proxies_of(registry.proxy, os.environ).towards(origin.scheme, origin.host, origin.port)
    return "" if proxy is None else f"{proxy} ({proxy.named_by})"


def _document(found: _Found) -> dict[str, object]:
    return {
        "ok": found.ok,
        "registries": [{**asdict(finding), "ok": finding.ok} for finding in found.registries],
        "webhooks": [{**asdict(hook), "ok": hook.ok} for hook in found.hooks],
        "subscriptions": [{**asdict(feed), "ok": feed.ok} for feed in found.feeds],
        "receivers": [{**asdict(receiver), "ok": receiver.ok} for receiver in found.receivers],
        "store": {**asdict(found.store), "ok": found.store.ok},
    }


def _show(found: _Found, settings: Settings) -> None:
    headers = ("REGISTRY", "URL", "RESULT", "MAY", "CATALOG", "TAGS LIST", "SECONDS", "PROBLEM")
    print_table(headers, [_line(finding) for finding in found.registries])
    for finding in found.registries:
        _show_finding(finding)
    for line in said_of(found.store):
        click.echo(line)
    if not found.hooks and not found.feeds:
        click.echo("No webhook endpoint: nobody tells the daemon of pushes.")
    for hook in found.hooks:
        _show_hook(hook, str(settings.webhooks.listen))
    for feed in found.feeds:
        for line in lines_of(feed):
            click.echo(line)
    for receiver in found.receivers:
        for line in told_of(receiver):
            click.echo(line)


def _show_finding(finding: Finding) -> None:
    if finding.proxy:
        click.echo(f"{finding.name}: through the proxy {finding.proxy}")
    if finding.capabilities:
        told = ", ".join(f"{name} {'yes' if holds else 'no'}" for name, holds in finding.capabilities.items())
        click.echo(f"{finding.name} can: {told}")
    if finding.reachable and finding.unknown:
        click.echo(f"{finding.name}, unknown until first use: {', '.join(finding.unknown)}")
    for remark in finding.remarks:
        click.echo(f"{finding.name}: {remark}")
    if finding.advice:
        click.echo(f"{finding.name}: {finding.advice}")


def _show_hook(hook: HookFinding, listen: str) -> None:
    hosts = ", ".join(hook.hosts) or "any host"
    secrets = "" if not hook.secrets else f" ({hook.secrets} readable)"
    click.echo(f"webhooks {hook.name}: {listen}{hook.path}, {hook.format}, {hosts}, auth {hook.auth}{secrets}")
    click.echo(f"webhooks {hook.name}: listener {hook.listener}; test delivery {hook.delivery}")
    for said in (hook.problem, hook.advice):
        if said:
            click.echo(f"webhooks {hook.name}: {said}")


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
