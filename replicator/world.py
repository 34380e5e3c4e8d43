"""All that is made of one configuration: clients, rules, endpoints, lanes. Built whole, then used, or thrown away."""

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from replicator import __version__
from replicator.admin.presence import RegistryPresence
from replicator.audit.downtime import Downtime
from replicator.audit.holdings import Holdings, Manifests
from replicator.audit.turns import Means as VerifyMeans
from replicator.audit.verifier import Verifier
from replicator.clock import Clock
from replicator.intake.deliveries import Means
from replicator.intake.doors import open_doors
from replicator.intake.inlets import Inlets, open_inlets
from replicator.intake.receiver import Doors
from replicator.notify.notifications import Addressed
from replicator.notify.receivers import audience_of, open_receivers
from replicator.observability.metrics import Metrics, Scope
from replicator.registry.client import RegistryClient, open_registry
from replicator.replication.engine import Engine
from replicator.replication.inspection import Inspector, open_inspector
from replicator.replication.standstill import Standstills
from replicator.replication.watchers import Watchers
from replicator.routing import Router
from replicator.settings.registries import PrimarySettings, RegistrySettings, ReplicaSettings
from replicator.settings.schema import Settings
from replicator.store.store import Store
from replicator.store.sweeps import Sweeps
from replicator.store.verifications import Verifications
from replicator.sweep.activity import Activity, WatchedSink
from replicator.sweep.examine import Means as SweepMeans
from replicator.sweep.repositories import Chosen
from replicator.sweep.schedule import Rhythm
from replicator.sweep.sweeper import Sweeper
from replicator.sync.sync import Means as SyncMeans
from replicator.sync.sync import means_of

_ASKED_AT_ONCE = 8
_AnyRegistry = PrimarySettings | ReplicaSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What outlives every configuration. `metrics` are only those of the process and its store.

    `activity` is what webhooks tell the sweeps, `watchers` are told of the work of all lanes; by `standstills` their
    copies and deletes take turns. `downtimes` are since when replicas are down.
    """

    store: Store
    clock: Clock
    rng: random.Random
    metrics: Metrics
    activity: Activity
    watchers: Watchers = field(default_factory=Watchers)
    standstills: Standstills = field(default_factory=Standstills)
    downtimes: defaultdict[str, Downtime] = field(default_factory=lambda: defaultdict(Downtime))


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What works under one configuration."""

    settings: Settings
    registries: Mapping[str, RegistryClient]
    router: Router
    doors: Doors
    inlets: Inlets
    presence: RegistryPresence
    inspector: Inspector
    metrics: Metrics
    addressed: Addressed
    engine: Engine
    sync_means: SyncMeans
    sweeper: Sweeper | None
    verifier: Verifier | None

    @property
    def scope(self) -> Scope:
        """The names that its metrics have."""
        return scope_of(self.settings)


def scope_of(settings: Settings) -> Scope:
    """Return the names that metrics have under a configuration."""
    return Scope.of(settings, version=__version__)


def build_world(settings: Settings, ground: Ground, former: World | None = None) -> World:
    """Return a world that does nothing yet. Raises SettingsError for certificates that cannot be used.

    Clients of registries that the settings describe as those of the `former` world do are taken over, with what they
    have learned, their connections and their limits. Certificates are read anew.
    """
    metrics = ground.metrics.rescoped(scope_of(settings))
    registries = {
        registry.name: _taken_over(registry, former) or open_registry(registry, clock=ground.clock, observer=metrics)
        for registry in configured(settings)
    }
    router = Router(settings)
    means = Means(
        sink=WatchedSink(ground.store, ground.activity, ground.clock),
        router=router,
        metrics=metrics,
        clock=ground.clock,
        deletions=ground.store,
        refused=lambda: ground.activity.refused(ground.clock.now()),
        missed=ground.activity.missed,
    )
    doors = open_doors(settings.webhooks.endpoints, means)
    inlets = open_inlets(settings.webhooks.subscriptions, means)
    addressed = Addressed(
        receivers=open_receivers(settings), audience=audience_of(settings), counts=metrics.notifications
    )
    # After all that may fail: from here on the store tells it of changes.
    engine = Engine(
        settings=settings,
        store=ground.store,
        registries=registries,
        metrics=metrics,
        clock=ground.clock,
        rng=ground.rng,
        watchers=ground.watchers,
        standstills=ground.standstills,
    )
    return World(
        settings=settings,
        registries=registries,
        router=router,
        doors=doors,
        inlets=inlets,
        presence=RegistryPresence(registries, {one.name: one.repository_prefix for one in settings.replicas}),
        inspector=open_inspector(settings, registries),
        metrics=metrics,
        addressed=addressed,
        engine=engine,
        sync_means=means_of(settings, registries, ground.store, metrics, ground.watchers, ground.clock),
        sweeper=_sweeper(settings, ground, registries[settings.primary.name], router, metrics),
        verifier=_verifier(settings, ground, registries, router, metrics, engine),
    )


def _sweeper(
    settings: Settings, ground: Ground, primary: RegistryClient, router: Router, metrics: Metrics
) -> Sweeper | None:
    if settings.sweep is None:
        return None
    means = SweepMeans(
        primary=primary,
        sweeps=Sweeps(ground.store),
        sink=ground.store,
        routes=router,
        scope=router.scope,
        replicas=tuple(one.name for one in settings.replicas),
        counts=metrics.sweeps,
        updates=metrics,
        clock=ground.clock,
        deletions=ground.store,
    )
    return Sweeper(
        means,
        chosen=Chosen(settings.sweep.repositories, router),
        rhythm=Rhythm(every=settings.sweep.every, full_every=settings.sweep.full_every),
        activity=ground.activity,
        rng=ground.rng,
    )


def _verifier(
    settings: Settings,
    ground: Ground,
    registries: Mapping[str, RegistryClient],
    router: Router,
    metrics: Metrics,
    engine: Engine,
) -> Verifier | None:
    if settings.verify is None:
        return None
    primary = registries[settings.primary.name]
    replicas = {one.name: one for one in settings.replicas}

    def holdings(name: str) -> Holdings:
        prefix, at_once = replicas[name].repository_prefix, min(_ASKED_AT_ONCE, replicas[name].max_connections)
        return Holdings(registries[name], primary, prefix=prefix, at_once=at_once, manifests=Manifests())

    means = VerifyMeans(
        replicas=tuple(replicas),
        holdings=holdings,
        lanes=engine.lanes,
        verifications=Verifications(ground.store),
        sink=ground.store,
        routes=router,
        counts=metrics.audits,
        updates=metrics,
        clock=ground.clock,
        downtimes=ground.downtimes,
    )
    return Verifier(means, full_every=settings.verify.full_every, rng=ground.rng)


def configured(settings: Settings) -> tuple[_AnyRegistry, ...]:
    """Return the primary and its replicas."""
    return (settings.primary, *settings.replicas)


def _taken_over(registry: _AnyRegistry, former: World | None) -> RegistryClient | None:
    own_trust = registry.tls is not None or (registry.proxy is not None and registry.proxy.ca_file is not None)
    if former is None or own_trust:
        return None
    before = next((one for one in configured(former.settings) if one.name == registry.name), None)
    same = before is not None and all(
        getattr(before, name) == getattr(registry, name)
        for name in (*RegistrySettings.model_fields, "max_connections")
    )
    return former.registries[registry.name] if same else None
