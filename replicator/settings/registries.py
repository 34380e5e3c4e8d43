"""Settings of the registries: the primary and its replicas."""

from pydantic import Field

from replicator.settings.credentials import Credentials
from replicator.settings.fields import Host, LabelName, Many, Prefix, Rate, ReplicaName, Url
from replicator.settings.files import FilePath
from replicator.settings.section import Section

PRIMARY = "primary"
"""The primary's name wherever a registry is named."""


class Tls(Section):
    """How the connection to a registry is secured, where the system's own trust is not enough."""

    ca_file: FilePath | None = Field(None, description="Certificates to trust instead of the system's, PEM.")
    cert_file: FilePath | None = Field(None, description="Client certificate, PEM; may hold its key too.")
    key_file: FilePath | None = Field(None, description="Key of the client certificate, PEM.")
    insecure_skip_verify: bool = Field(
        default=False, description="Believe any certificate. Anybody on the way can read and change everything."
    )


class RegistrySettings(Section):
    """What is said of any registry."""

    url: Url = Field(
        description="Where the registry is; `http://` only if written so here.",
        examples=["https://registry.example.com"],
    )
    credentials: Credentials | None = Field(None, description="How to log in; absent: anonymous.")
    tls: Tls | None = Field(None, description="Own certificates; absent: the system's trust.")
    realm_allow: Many[Host] = Field(
        (), description="Other hosts that may be given the credentials as token servers (`host` or `host:port`)."
    )
    redirect_allow: Many[Host] = Field(
        (),
        description="Other hosts to which reads and uploads may be sent although their addresses are private, "
        "such as an own object storage. Never given the credentials.",
    )
    bandwidth: Rate | None = Field(None, description="Limit for all transfers together; absent: none.")
    capabilities: None = Field(None, description="What the registry can do, where probing is wrong.")
    proxy: None = Field(None, description="HTTP proxy on the way to the registry.")


class PrimarySettings(RegistrySettings):
    """The registry that people push to."""

    max_connections: int = Field(32, ge=1, le=1000, description="Connections at a time.")

    @property
    def name(self) -> str:
        """The primary's name in metrics and logs, always the same."""
        return PRIMARY


class ReplicaSettings(RegistrySettings):
    """A registry that is kept equal to the primary."""

    name: ReplicaName = Field(
        description="Its name in metrics, commands and logs: lower-case letters, digits and dashes.",
        examples=["eu-west"],
    )
    max_connections: int = Field(16, ge=1, le=1000, description="Connections at a time.")
    repository_prefix: Prefix = Field(
        "", description="Put before each repository name: with `mirror/`, `team/app` becomes `mirror/team/app`."
    )
    source: ReplicaName = Field(
        PRIMARY, description="Where to copy from: `primary`, or the name of another replica (a tree)."
    )
    labels: dict[LabelName, str] = Field(
        default_factory=dict, description="Words of your own about the replica, as `region: eu-west-1`."
    )
