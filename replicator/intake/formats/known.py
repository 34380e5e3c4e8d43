"""All formats by the names that the configuration has for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from replicator.intake.formats import (
    acr,
    aliyun,
    auto,
    distribution,
    dockerhub,
    ecr,
    eventgrid,
    gar,
    ghcr,
    gitea,
    gitlab,
    harbor,
    jfrog,
    nexus,
    quay,
    sns,
    zot,
)
from replicator.intake.formats.decoded import Reply
from replicator.intake.formats.reading import Decoder, Headers


@dataclass(frozen=True, slots=True)
class Format:
    """How a sender's deliveries are read, and what it is answered when it asks for `consent` by OPTIONS."""

    decode: Decoder
    consent: Callable[[Headers], Reply | None] | None = None


FORMATS: Final[Mapping[str, Format]] = MappingProxyType({
    "acr": Format(acr.decode),
    "aliyun": Format(aliyun.decode),
    "auto": Format(auto.decode, eventgrid.consent),
    "distribution": Format(distribution.decode),
    "dockerhub": Format(dockerhub.decode),
    "ecr": Format(ecr.decode),
    "eventgrid": Format(eventgrid.decode, eventgrid.consent),
    "gar": Format(gar.decode),
    "ghcr": Format(ghcr.decode),
    "gitea": Format(gitea.decode),
    "gitlab": Format(gitlab.decode),
    "harbor": Format(harbor.decode),
    "jfrog": Format(jfrog.decode),
    "nexus": Format(nexus.decode),
    "quay": Format(quay.decode),
    "sns": Format(sns.decode),
    "zot": Format(zot.decode),
})  # fmt: skip  # one row a format
"""All but `generic`, which the configuration describes (formats.generic)."""
