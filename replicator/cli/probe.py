"""What `check` asks of one registry, and what to do when the answer is no."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, TypeVar

import anyio

from replicator.cli.advice import advice, missing_push
from replicator.clock import Clock
from replicator.errors import AccessDenied, NotFound, Reason, RegistryError, ReplicatorError
from replicator.model import Descriptor, Reference, Repository, Tag, parse_repository
from replicator.registry.capabilities import Capabilities, Capability
from replicator.settings.schema import PrimarySettings, ReplicaSettings

CHECK_REPOSITORY = "replicator-check"
"""The repository, under the replica's prefix, in which an upload session is opened and cancelled."""
PATIENCE = 30.0
"""Seconds one registry may take in all."""
_OF_A_PRIMARY = (Capability.RANGES, Capability.REFERRERS, Capability.CATALOG)
_T = TypeVar("_T")
_S = TypeVar("_S")


class Probed(Protocol[_S]):
    """What probing needs of a registry's client; `_S` is its upload session."""

    async def ping(self) -> None:
        """Log in."""
        ...

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Return what `reference` names, None on a positive 404."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What was proven of the registry so far."""
        ...

    async def prove_checks_manifests(self, repository: Repository) -> bool | None:
        """Find out whether manifests whose blobs are missing are refused."""
        ...

    async def prove_checks_digests(self, repository: Repository) -> bool | None:
        """Find out whether bytes of another digest are refused."""
        ...

    async def prove_resumes(self, repository: Repository) -> bool | None:
        """Find out whether an upload that was cut goes on."""
        ...

    async def prove_sparse_index(self, repository: Repository) -> bool | None:
        """Find out whether an index without its children is taken."""
        ...

    async def prove_tag_delete(self, repository: Repository) -> bool | None:
        """Find out whether tags cannot be removed."""
        ...

    async def prove_referrers(self, repository: Repository) -> bool | None:
        """Find out whether there is a referrers API."""
        ...

    async def start_upload(self, repository: Repository) -> _S:
        """Open an upload session."""
        ...

    async def cancel_upload(self, session: _S) -> None:
        """Close it, with nothing uploaded."""
        ...

    def tags(self, repository: Repository) -> AsyncIterator[Tag]:
        """List tags."""
        ...

    def repositories(self) -> AsyncIterator[Repository]:
        """List repositories."""
        ...


@dataclass(slots=True, kw_only=True)
class Finding:
    """What was found of one registry. `catalog` and `tags_list` say what was found now: yes, no or unproven.

    `may` says in words what the account was proven to do; `problem` is empty when all is well. `capabilities` are
    those that were proven or that the configuration lays down, `unknown` those that matter for its role and that the
    daemon finds out when it first needs them. `remarks` keep nothing from working, `clock_ahead` is in seconds.
    `proxy` is the proxy on the way there, empty for none.
    """

    name: str
    role: str
    url: str
    reachable: bool = False
    may: str = "unproven"
    catalog: str = "unproven"
    tags_list: str = "unproven"
    seconds: float = 0.0
    problem: str = ""
    advice: str = ""
    capabilities: dict[str, bool] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    clock_ahead: float | None = None
    proxy: str = ""

    @property
    def ok(self) -> bool:
        """Whether the daemon can work with this registry, as far as this was found out."""
        return not self.problem


async def probe(
    settings: PrimarySettings | ReplicaSettings, client: Probed[_S], clock: Clock, *, patience: float = PATIENCE
) -> Finding:
    """Ask the registry and return what was found; failures are findings too."""
    role = "replica" if isinstance(settings, ReplicaSettings) else "primary"
    finding = Finding(name=settings.name, role=role, url=settings.url)
    started = clock.monotonic()
    finding.problem = f"no answer within {patience:g} s"
    finding.advice = advice(RegistryError("", registry=settings.name, reason=Reason.TIMEOUT))
    with anyio.move_on_after(patience):
        try:
            await client.ping()
            finding.reachable = True
            if isinstance(settings, ReplicaSettings):
                await _may_push(finding, client, settings)
            else:
                await _may_pull(finding, client)
            finding.problem = finding.advice = ""
        except ReplicatorError as error:
            _note(finding, error, anonymous=settings.credentials is None)
    record = client.capabilities
    finding.capabilities = {one.value: holds for one in Capability if (holds := record.holds(one)) is not None}
    matter = _OF_A_PRIMARY if role == "primary" else tuple(Capability)
    finding.unknown = [one.value for one in matter if record.holds(one) is None]
    finding.seconds = round(clock.monotonic() - started, 3)
    return finding


async def _may_pull(finding: Finding, client: Probed[_S]) -> None:
    repository = await _catalog(finding, client)
    if repository is None:
        # No repository is known, so the account's rights cannot be proven, only that reading works as such.
        try:
            await client.stat_manifest(parse_repository(CHECK_REPOSITORY), Tag(CHECK_REPOSITORY))
            finding.may = "pull"
        except AccessDenied:
            finding.may = f"pull unproven: no catalog, and {CHECK_REPOSITORY} may not be read"
            finding.remarks.append("replicator copy REPOSITORY:TAG proves whether images may be pulled")
        except RegistryError as error:
            # Gitea, of an owner that it does not know, answers as no registry does; but it gave its (empty) catalog.
            if error.status != HTTPStatus.NOT_FOUND or finding.catalog != "yes":
                raise
            finding.may = "pull"
        return
    tag = await _tags(finding, client, repository)
    await client.stat_manifest(repository, tag or Tag(CHECK_REPOSITORY))
    finding.may = "pull"
    with contextlib.suppress(RegistryError):
        await client.prove_referrers(repository)


async def _may_push(finding: Finding, client: Probed[_S], settings: ReplicaSettings) -> None:
    repository = parse_repository(f"{settings.repository_prefix}{CHECK_REPOSITORY}")
    try:
        session = await client.start_upload(repository)
    except AccessDenied as error:
        finding.may = "not push"
        finding.advice = missing_push(repository, error, anonymous=settings.credentials is None)
        raise AccessDenied(
            f"the account may not push to {repository}: {error}",
            registry=error.registry,
            reason=error.reason,
            status=error.status,
            code=error.code,
        ) from error
    await client.cancel_upload(session)
    finding.may = "push"
    await _catalog(finding, client)
    await _tags(finding, client, repository)
    proofs = (
        client.prove_checks_manifests,
        client.prove_sparse_index,
        client.prove_checks_digests,
        client.prove_resumes,
        client.prove_tag_delete,
        client.prove_referrers,
    )
    for prove in proofs:
        # What a registry in trouble does not tell stays unproven: the daemon finds it out when it needs it.
        with contextlib.suppress(RegistryError):
            await prove(repository)


async def _catalog(finding: Finding, client: Probed[_S]) -> Repository | None:
    try:
        found = await _first(client.repositories())
    except RegistryError as error:
        finding.catalog = _refused(error)
        if not error.temporary:
            finding.remarks.append("its repositories may not be listed: nothing needs that")
        return None
    finding.catalog = "yes"
    return found


async def _tags(finding: Finding, client: Probed[_S], repository: Repository) -> Tag | None:
    try:
        found = await _first(client.tags(repository))
    except NotFound:
        finding.tags_list = "yes"
        return None
    except RegistryError as error:
        finding.tags_list = _refused(error)
        return None
    finding.tags_list = "yes"
    return found


def _refused(error: RegistryError) -> str:
    """Return `no` for a registry that refuses, the reason for one that failed: the latter proves nothing."""
    return f"unproven: {error.reason}" if error.temporary else "no"


async def _first(items: AsyncIterator[_T]) -> _T | None:
    async for item in items:
        return item
    return None


def _note(finding: Finding, error: ReplicatorError, *, anonymous: bool) -> None:
    finding.reachable = finding.reachable or (isinstance(error, RegistryError) and error.status > 0)
    finding.problem = str(error)
    if finding.may != "not push":
        finding.advice = advice(error, anonymous=anonymous)
