"""Settings of the registries: the primary and its replicas."""

from typing import Annotated, Literal

from pydantic import Field

from replicator.settings.credentials import Credentials
from replicator.settings.fields import Frequency, Host, LabelName, Many, Prefix, Rate, ReplicaName, Size, Url
from replicator.settings.files import FilePath
from replicator.settings.proxies import ProxyChoice
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


class CapabilitiesSettings(Section):
    """What a registry can do, where finding it out goes wrong: believed for ever. What is absent is found out."""

    mount: bool | None = Field(None, description="Takes a blob over from another of its repositories.")
    anonymous_mount: bool | None = Field(None, description="The same without being told from which one.")
    mount_unreferenced: bool | None = Field(
        None, description="Mounts a blob that no manifest of its repository names yet."
    )
    resume: bool | None = Field(None, description="Keeps the bytes of an upload that was cut, and goes on.")
    ranges: bool | None = Field(None, description="Serves a part of a blob.")
    referrers: bool | None = Field(None, description="Has the referrers API.")
    sparse_index: bool | None = Field(None, description="Takes an index of which some children are missing.")
    checks_manifests: bool | None = Field(
        None, description="Refuses a manifest whose blobs or children are missing. Never say so if it does not."
    )
    checks_digests: bool | None = Field(
        None, description="Refuses a blob whose bytes are not its digest's. Never say so if it does not."
    )
    tag_delete: bool | None = Field(None, description="Removes a tag and leaves its manifest.")
    catalog: bool | None = Field(None, description="Lists its repositories.")
    digest_list: Literal["acr", "harbor", "ecr", "quay", "none"] | None = Field(
        None,
        description="Which list of its own tells the digests of all tags: Azure's, Harbor's, AWS's, Quay's, or none.",
    )
    upload: Literal["put", "stream", "chunks"] | None = Field(
        None, description="How blobs are sent: one PUT, one PATCH, or chunks; absent: what works, in this order."
    )
    chunk_min: Annotated[Size, Field(ge=1)] | None = Field(
        None, description="Fewest bytes of a chunk that is not the last."
    )
    chunk_max: Annotated[Size, Field(ge=1 << 16)] | None = Field(None, description="Most bytes of a chunk.")
    page_size: Annotated[int, Field(ge=1, le=100_000)] | None = Field(
        None, description="Names asked for in one page of a list."
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
    bandwidth: Rate | None = Field(
        None,
        description="Limit for all that is sent to it and read from it together, the urgent first. Absent: none.",
    )
    requests: Frequency | None = Field(
        None,
        description="Limit for requests of all kinds together, where a registry is known to allow only so many. "
        "Absent: none; what it refuses slows down that kind of request by itself.",
    )
    capabilities: CapabilitiesSettings | None = Field(
        None, description="What the registry can do, where finding it out goes wrong."
    )
    proxy: ProxyChoice = Field(
        None,
        description="HTTP proxy on the way to the registry, its token server, its storage and its cloud's login: a "
        "URL, a mapping, `off`, or `environment`: what `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` say. Absent: this.",
    )


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
    max_connections: int = Field(32, ge=1, le=1000, description="Connections at a time.")
    repository_prefix: Prefix = Field(
        "", description="Put before each repository name: with `mirror/`, `team/app` becomes `mirror/team/app`."
    )
    source: ReplicaName = Field(
        PRIMARY, description="Where to copy from: `primary`, or the name of another replica (a tree)."
    )
    labels: dict[LabelName, str] = Field(
        default_factory=dict, description="Words of your own about the replica, as `region: eu-west-1`."
    )
