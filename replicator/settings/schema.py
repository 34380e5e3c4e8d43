"""The settings as the daemon uses them; attribute names are the keys of the file (DESIGN 2.1).

Durations are seconds, sizes bytes, rates bytes per second. `replicator.settings.load` makes them from a file; what
ties several values together is checked there (`checks`), and so is what is not supported yet (`unsupported`).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from replicator.settings.credentials import BasicAuth, Credentials, EndpointAuth, HeaderAuth
from replicator.settings.fields import (
    Duration,
    Listen,
    ListenAddress,
    Many,
    PlatformName,
    ReplicaName,
    RepositoryPattern,
    Surroundings,
    TagPattern,
    refuse,
)
from replicator.settings.files import SQLITE, SecretFile, SecretVariable, StoreUrl, Word
from replicator.settings.notify import Notification
from replicator.settings.places import Places
from replicator.settings.registries import PRIMARY, PrimarySettings, RegistrySettings, ReplicaSettings, Tls
from replicator.settings.secrets import Secret
from replicator.settings.section import Section
from replicator.settings.senders import Format
from replicator.settings.subscriptions import Subscription
from replicator.settings.webhooks import Endpoint, Webhooks, WebhookTls

__all__ = [
    "PRIMARY",
    "Admin",
    "BasicAuth",
    "Breaker",
    "Credentials",
    "Deletes",
    "Endpoint",
    "EndpointAuth",
    "Format",
    "HeaderAuth",
    "ListenAddress",
    "Log",
    "Notification",
    "Objective",
    "PrimarySettings",
    "RegistrySettings",
    "ReplicaSettings",
    "Retry",
    "Rule",
    "Secret",
    "Settings",
    "Shutdown",
    "Store",
    "Subscription",
    "Sweep",
    "Tls",
    "Verify",
    "WebhookTls",
    "Webhooks",
]


class Rule(Section):
    """What goes where. For each replica the first rule counts that matches and names it."""

    repositories: Many[RepositoryPattern] = Field(("**",), min_length=1, description="Patterns of repositories.")
    tags: Many[TagPattern] = Field(
        ("*",), min_length=1, description="Patterns of tags. Untagged content goes by its repository alone."
    )
    replicas: Many[ReplicaName] | None = Field(None, min_length=1, description="Names of replicas; absent: all.")
    priority: Literal["high", "normal", "low"] = Field("normal", description="What goes first when work piles up.")
    deletes: Literal["ignore", "propagate"] = Field("ignore", description="What a delete on the primary does.")
    conflicts: Literal["overwrite", "keep"] = Field(
        "overwrite", description="What to do with a tag that somebody else changed on the replica."
    )
    platforms: Annotated[Many[PlatformName] | None, Word("all")] = Field(
        None,
        min_length=1,
        description="Platforms to copy of a multi-platform image, as `[linux/amd64, linux/arm64/v8]`; without a "
        "variant all variants. The index stays as it is, so the replica must take one of which children are missing.",
        json_schema_extra={"default": "all"},
    )
    referrers: bool = Field(
        default=False, description="Copy what refers to an image along: signatures, SBOMs and attestations."
    )


class Admin(Section):
    """The listener for probes, metrics and the API."""

    listen: Listen = Field(ListenAddress("127.0.0.1", 9464), description="Where to listen.")
    token_file: SecretFile | None = Field(
        None, description="File that holds the token for `/api/`; beyond loopback `/api/` answers 403 without one."
    )
    token_env: SecretVariable | None = Field(None, description="Environment variable that holds that token.")

    @property
    def token(self) -> Secret | None:
        """The token for `/api/`, wherever it is."""
        return self.token_file or self.token_env


class Store(Section):
    """Where the daemon keeps what it owes."""

    url: StoreUrl = Field(
        "sqlite:////var/lib/replicator/replicator.db",
        description="`sqlite:///` and the path of the database, whose directory no other daemon may use; or "
        "`postgresql://USER@HOST/NAME` as libpq has it, without a password: one daemon works with it, others wait.",
        examples=["postgresql://replicator@db-1.example.com,db-2.example.com/replicator"],
    )
    password_file: SecretFile | None = Field(
        None, description="File that holds the password for PostgreSQL; read anew for each connection."
    )
    password_env: SecretVariable | None = Field(None, description="Environment variable that holds that password.")

    @property
    def on_server(self) -> bool:
        """Whether it is on PostgreSQL, and no file."""
        return not self.url.startswith(SQLITE)

    @property
    def sqlite_path(self) -> Path:
        """The path of the database in a file."""
        return Path(self.url.removeprefix(SQLITE))

    @property
    def password(self) -> Secret | None:
        """The password for PostgreSQL, wherever it is."""
        return self.password_file or self.password_env

    @model_validator(mode="after")
    def _is_whole(self) -> "Store":
        if self.password_file is not None and self.password_env is not None:
            refuse("has two passwords", "write password_file: or password_env:")
        if self.password is not None and not self.on_server:
            refuse("has a password for a file", "remove it, or write the url of a PostgreSQL database")
        return self


class Sweep(Section):
    """Comparisons of the primary with the replicas, without events."""

    every: Duration = Field(
        3600.0,
        ge=1,
        description="Time between two comparisons of the tags of a repository, at the most; sooner where it was "
        "active lately.",
    )
    full_every: Duration = Field(
        86400.0,
        ge=1,
        description="Time between two comparisons of all digests, at the most; sooner where something changed "
        "lately.",
    )
    repositories: Many[RepositoryPattern] = Field(
        (),
        description="Names or patterns of repositories to compare; empty: all. Names need no catalog of the primary.",
    )


class Verify(Section):
    """Looks at what replicas really hold, without being asked to."""

    full_every: Duration = Field(
        360000.0,
        ge=1,
        description="Each tag of a replica is looked at once in that time: with `100h` one in a hundred in an hour.",
    )


class Breaker(Section):
    """When the deletes of a replica stop until an operator lets them go on (`replicator resume NAME --deletes`)."""

    count: int = Field(100, ge=1, description="More tags of one replica than this within an hour.")
    percent: float = Field(
        5, gt=0, le=100, description="A greater part of the replica's tags than this within an hour, rounded up."
    )


class Deletes(Section):
    """How deletes reach the replicas, where a rule says that they do."""

    grace: Duration = Field(
        3600.0, ge=0, description="How long a delete waits before it is done; a push of the tag cancels it."
    )
    protect: Many[RepositoryPattern] = Field(
        (), description="Patterns of `REPOSITORY:TAG`: what is never deleted on a replica.", examples=[["**:prod-*"]]
    )
    breaker: Breaker = Field(default_factory=Breaker, description="When deletes stop.")


class Retry(Section):
    """When failed work is tried again."""

    first: Duration = Field(1.0, gt=0, description="Pause after the first failure; it grows from there.")
    max: Duration = Field(300.0, gt=0, description="Longest pause.")
    park_after: Duration = Field(86400.0, gt=0, description="From then on tried hourly; still owed, still lag.")


class Objective(Section):
    """What counts as late in metrics and alerts."""

    lag: Duration = Field(900.0, gt=0, description="A change must be on a replica within this time.")
    percent: float = Field(99.9, gt=0, le=100, description="For this part of the time, each replica.")


class Shutdown(Section):
    """How the daemon stops."""

    grace: Duration = Field(30.0, ge=0, le=3600, description="How long transfers in flight may go on after SIGTERM.")


class Log(Section):
    """What the daemon writes to its log."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least important line written.")
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="`auto`: console on a terminal, else JSON."
    )


class Settings(Section):
    """The whole configuration file."""

    version: Literal[1] = Field(description="Version of this file's form, always 1.", examples=[1])
    primary: PrimarySettings = Field(
        description="The registry that people push to.", examples=[{"url": "https://registry.example.com"}]
    )
    replicas: Many[ReplicaSettings] = Field(
        min_length=1,
        description="The registries that are kept equal to it.",
        examples=[[{"name": "eu-west", "url": "https://eu.registry.example.com"}]],
    )
    rules: Many[Rule] = Field(
        (),
        description="What goes where: for each replica the first rule that matches and names it. "
        "None: everything to every replica.",
    )
    webhooks: Webhooks = Field(default_factory=Webhooks, description="The listener for webhooks.")
    admin: Admin = Field(default_factory=Admin, description="The listener for probes, metrics and the API.")
    store: Store = Field(default_factory=Store, description="Where the daemon keeps what it owes.")
    sweep: Annotated[Sweep | None, Word("off", (False,))] = Field(
        default_factory=Sweep,
        description="Regular comparisons that find what no webhook told, and what was there before; `off`: none.",
    )
    verify: Annotated[Verify | None, Word("off", (False,))] = Field(
        default_factory=Verify,
        description="Continuous verification: whether replicas still hold what was put there; all of a replica after "
        "it was down; `off`: none.",
    )
    deletes: Deletes = Field(default_factory=Deletes, description="How deletes reach the replicas.")
    retry: Retry = Field(default_factory=Retry, description="When failed work is tried again.")
    objective: Objective = Field(default_factory=Objective, description="What counts as late.")
    shutdown: Shutdown = Field(default_factory=Shutdown, description="How the daemon stops.")
    notify: Many[Notification] = Field((), description="Whom to tell of what happened on the replicas.")
    log: Log = Field(default_factory=Log, description="The daemon's log.")

    _places: Places = PrivateAttr(default_factory=Places)

    def model_post_init(self, context: Any, /) -> None:
        """Keep where things stand in the file that is read."""
        if isinstance(context, Surroundings):
            self._places = context.places

    def rule_line(self, position: int) -> int | None:
        """Return the line of the file on which a rule stands, 0 being the first; None where no file says it."""
        return self._places.rules[position] if position < len(self._places.rules) else None

    def replica(self, name: str) -> ReplicaSettings | None:
        """Return the replica of that name."""
        return next((replica for replica in self.replicas if replica.name == name), None)
