"""`replicator config`: what the configuration says, without any network."""

import click
import yaml

from replicator.cli.invocation import Invocation
from replicator.cli.output import print_json
from replicator.settings.json_schema import json_schema
from replicator.settings.show import effective


@click.group("config")
def config() -> None:
    """Look at the configuration; no network."""


@config.command("check")
@click.pass_obj
def check(invocation: Invocation) -> None:
    """Say whether the file is valid, or everything that is wrong with it."""
    settings = invocation.settings()
    replicas, rules, endpoints = len(settings.replicas), len(settings.rules), len(settings.webhooks.endpoints)
    told = f"replicas {replicas}, rules {rules}, webhook endpoints {endpoints}"
    if settings.webhooks.subscriptions:
        told += f", subscriptions {len(settings.webhooks.subscriptions)}"
    click.echo(f"{invocation.config}: valid: {told}")


@config.command("show")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def show(invocation: Invocation, *, as_json: bool) -> None:
    """Print the effective configuration, defaults filled in; of secrets only where they come from."""
    document = effective(invocation.settings())
    if as_json:
        print_json(document)
    else:
        click.echo(yaml.safe_dump(document, sort_keys=False, default_flow_style=False), nl=False)


@config.command("schema")
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    print_json(json_schema())
