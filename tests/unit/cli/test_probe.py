"""What `check` says of a registry, for each way in which it can answer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import anyio
import pytest

from replicator.cli.probe import CHECK_REPOSITORY, Finding, probe
from replicator.clock import SystemClock
from replicator.errors import AccessDenied, NotFound, Reason, RegistryError, ReplicatorError, SettingsError
from replicator.model import Descriptor, Digest, MediaType, Reference, Repository, Tag
from replicator.registry.capabilities import Capabilities, Capability
from replicator.settings.credentials import Credentials
from replicator.settings.schema import PrimarySettings, ReplicaSettings
from replicator.settings.secrets import Secret

ACCOUNT = Credentials(username="someone", password_file=Secret.of_text("canary"))
PRIMARY = PrimarySettings(url="https://registry.example.com", credentials=ACCOUNT)
REPLICA = ReplicaSettings(name="eu", url="https://eu.example.com", repository_prefix="mirror/", credentials=ACCOUNT)


def _denied(status: int = 403) -> AccessDenied:
    return AccessDenied("denied", registry="r", reason=Reason.AUTH, status=status)


@dataclass(slots=True, kw_only=True)
class Scripted:
    """A registry that fails where the test says; `calls` are what it was asked."""

    catalog: tuple[str, ...] = ("team/app",)
    listed: tuple[str, ...] = ("v1",)
    failing: dict[str, ReplicatorError] = field(default_factory=dict)
    hang: bool = False
    calls: list[str] = field(default_factory=list)
    capabilities: Capabilities = field(default_factory=lambda: Capabilities(SystemClock()))

    def _call(self, name: str, what: str = "") -> None:
        self.calls.append(f"{name} {what}".strip())
        if name in self.failing:
            raise self.failing[name]

    async def ping(self) -> None:
        """Answer."""
        self._call("ping")
        if self.hang:
            await anyio.sleep_forever()

    async def stat_manifest(self, repository: Repository, reference: Reference) -> Descriptor | None:
        """Answer."""
        self._call("stat", f"{repository}:{reference}")
        known = repository in self.catalog
        return Descriptor(MediaType.OCI_MANIFEST, Digest.of(b"x"), 1) if known else None

    async def prove_checks_manifests(self, repository: Repository) -> bool | None:
        """Answer."""
        self._call("manifests", repository)
        self.capabilities.learn(Capability.CHECKS_MANIFESTS, holds=True)
        return True

    async def prove_checks_digests(self, repository: Repository) -> bool | None:
        """Answer."""
        self._call("digests", repository)
        return None

    async def prove_resumes(self, repository: Repository) -> bool | None:
        """Answer."""
        self._call("resumes", repository)
        self.capabilities.learn(Capability.RESUME, holds=False)
        return False

    async def prove_sparse_index(self, repository: Repository) -> bool | None:
        """Answer."""
        self._call("sparse", repository)
        self.capabilities.learn(Capability.SPARSE_INDEX, holds=False)
        return False

    async def prove_tag_delete(self, repository: Repository) -> bool | None:
        """Answer."""
        self._call("tag", repository)
        return None

    async def prove_referrers(self, repository: Repository) -> bool | None:
        """Answer."""
        self._call("referrers", repository)
        self.capabilities.learn(Capability.REFERRERS, holds=True)
        return True

    async def start_upload(self, repository: Repository) -> str:
        """Answer."""
        self._call("start", repository)
        return "session"

    async def cancel_upload(self, session: str) -> None:
        """Answer."""
        self._call("cancel", session)

    async def tags(self, repository: Repository) -> AsyncIterator[Tag]:
        """Answer."""
        self._call("tags", repository)
        for tag in self.listed:
            yield Tag(tag)

    async def repositories(self) -> AsyncIterator[Repository]:
        """Answer."""
        self._call("catalog")
        for repository in self.catalog:
            yield Repository(repository)


async def _primary(registry: Scripted, patience: float = 30.0) -> Finding:
    return await probe(PRIMARY, registry, SystemClock(), patience=patience)


async def _replica(registry: Scripted) -> Finding:
    return await probe(REPLICA, registry, SystemClock())


async def test_a_primary_that_works_may_be_pulled_from() -> None:
    registry = Scripted()
    finding = await _primary(registry)
    assert (finding.ok, finding.may, finding.catalog, finding.tags_list) == (True, "pull", "yes", "yes")
    assert registry.calls == ["ping", "catalog", "tags team/app", "stat team/app:v1", "referrers team/app"]
    assert (finding.capabilities, finding.unknown) == ({"referrers": True}, ["ranges", "catalog"])


async def test_a_replica_that_works_may_be_pushed_to_and_nothing_is_left_there() -> None:
    registry = Scripted()
    finding = await _replica(registry)
    assert (finding.ok, finding.may, finding.role) == (True, "push", "replica")
    assert registry.calls[1:3] == [f"start mirror/{CHECK_REPOSITORY}", "cancel session"]


async def test_what_a_replica_can_do_is_proven_where_it_may_be_pushed_to() -> None:
    registry = Scripted()
    finding = await _replica(registry)
    proven = {"checks_manifests": True, "sparse_index": False, "resume": False, "referrers": True}
    assert finding.capabilities == proven
    assert set(finding.unknown) == {one.value for one in Capability} - set(proven)
    place = f"mirror/{CHECK_REPOSITORY}"
    asked = ("manifests", "sparse", "digests", "resumes", "tag", "referrers")
    assert registry.calls[-6:] == [f"{one} {place}" for one in asked]
    busy = RegistryError("busy", registry="r", reason=Reason.SERVER_ERROR, temporary=True, status=503)
    troubled = await _replica(Scripted(failing={"manifests": busy}))
    assert (troubled.ok, troubled.capabilities) == (
        True,
        {k: v for k, v in proven.items() if k != "checks_manifests"},
    )
    troubled = await _primary(Scripted(failing={"referrers": busy}))
    assert (troubled.ok, troubled.capabilities) == (True, {})


async def test_a_replica_that_refuses_pushes_fails_by_name() -> None:
    finding = await _replica(Scripted(failing={"start": _denied()}))
    assert not finding.ok
    assert finding.reachable
    assert finding.may == "not push"
    assert f"mirror/{CHECK_REPOSITORY}" in finding.problem
    assert "account" in finding.advice


async def test_a_catalog_that_is_closed_is_no_failure() -> None:
    """The account may then still pull what the daemon needs: nothing more is claimed than was seen."""
    finding = await _primary(Scripted(failing={"catalog": _denied(401)}))
    assert (finding.ok, finding.catalog, finding.tags_list, finding.may) == (True, "no", "unproven", "pull")
    assert finding.remarks == ["its repositories may not be listed: nothing needs that"]
    closed = await _primary(Scripted(failing={"catalog": _denied(), "stat": _denied()}))
    assert closed.ok
    assert "replicator copy" in closed.remarks[-1]
    assert closed.may.startswith("pull unproven")
    replica = await _replica(Scripted(failing={"catalog": _denied(), "tags": NotFound("none", registry="r")}))
    assert (replica.ok, replica.catalog, replica.tags_list) == (True, "no", "yes")


async def test_a_repository_that_may_be_listed_but_not_pulled_is_a_failure() -> None:
    finding = await _primary(Scripted(failing={"stat": _denied()}))
    assert not finding.ok


async def test_a_list_that_fails_for_a_moment_proves_nothing() -> None:
    error = RegistryError("busy", registry="r", reason=Reason.SERVER_ERROR, temporary=True, status=503)
    assert (await _replica(Scripted(failing={"tags": error}))).tags_list == "unproven: 5xx"


@pytest.mark.parametrize(
    ("error", "reachable", "advice"),
    [
        (_denied(401), True, "password"),
        (RegistryError("no such host", registry="r", reason=Reason.NETWORK, temporary=True), False, "DNS"),
        (RegistryError("not trusted", registry="r", reason=Reason.TLS), False, "ca_file"),
        (RegistryError("slow", registry="r", reason=Reason.TIMEOUT, temporary=True), False, "firewalls"),
        (RegistryError("limit", registry="r", reason=Reason.RATE_LIMITED, temporary=True, status=429), True, "limit"),
        (RegistryError("odd", registry="r", status=200), True, "docs/operations.md"),
        (SettingsError("the file /run/secrets/x cannot be read"), False, "docs/operations.md"),
    ],
)
async def test_each_failure_says_what_to_do(error: ReplicatorError, advice: str, *, reachable: bool) -> None:
    finding = await _primary(Scripted(failing={"ping": error}))
    assert (finding.ok, finding.reachable, finding.problem) == (False, reachable, str(error))
    assert advice in finding.advice


async def test_a_registry_that_never_answers_ends_in_time() -> None:
    finding = await _primary(Scripted(hang=True), patience=0.05)
    assert (finding.ok, finding.problem) == (False, "no answer within 0.05 s")
    assert finding.advice
