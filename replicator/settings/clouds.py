"""Logins by an identity of a cloud. Each needs an extra of the package, and is refused where that is missing."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, model_validator

from replicator.settings.extras import need_extra
from replicator.settings.fields import HttpsUrl, refuse
from replicator.settings.files import FilePath, SecretFile, SecretVariable
from replicator.settings.secrets import Secret
from replicator.settings.section import Section

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
_RoleArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$")]


class AzureLogin(Section):
    """An identity of Microsoft Entra, exchanged at Azure Container Registry for its own tokens."""

    identity: Literal["service_principal", "managed_identity", "workload_identity"] = Field(
        description="`service_principal` (a client secret or certificate), `managed_identity` (of the machine it "
        "runs on) or `workload_identity` (of a pod, by the variables that its webhook sets)."
    )
    tenant_id: _Id | None = Field(None, description="Tenant of the service principal.")
    client_id: _Id | None = Field(
        None, description="The application, or the managed identity where the machine has several."
    )
    client_secret_file: SecretFile | None = Field(None, description="File that holds the client secret.")
    client_secret_env: SecretVariable | None = Field(None, description="Environment variable that holds it.")
    client_certificate_file: FilePath | None = Field(
        None, description="Client certificate with its RSA key, PEM or PKCS#12 without a password."
    )
    authority: HttpsUrl | None = Field(
        None,
        description="Where Entra is, for clouds of their own; absent: the public one, or `AZURE_AUTHORITY_HOST`.",
    )
    audience: HttpsUrl = Field(
        "https://containerregistry.azure.net", description="What the token of Entra is asked for."
    )

    @property
    def client_secret(self) -> Secret | None:
        """The client secret, wherever it is."""
        return self.client_secret_file or self.client_secret_env

    @model_validator(mode="after")
    def _can_be_used(self, info: ValidationInfo) -> "AzureLogin":
        if info.context is not None:
            need_extra("azure")
        proofs = [one for one in (self.client_secret, self.client_certificate_file) if one is not None]
        if self.identity != "service_principal" and proofs:
            refuse("holds a client secret that is of no use", "write identity: service_principal, or remove it")
        if self.identity == "service_principal" and not (self.tenant_id and self.client_id and proofs):
            refuse(
                "lacks a part of the service principal",
                "write tenant_id, client_id and client_secret_file or client_certificate_file",
            )
        if len(proofs) > 1:
            refuse("holds a client secret and a certificate", "keep one of them")
        return self


class EcrRepositories(Section):
    """How repositories are made that a replica lacks."""

    immutable: bool = Field(default=False, description="Tags cannot be moved. Replication of moved tags then fails.")
    scan_on_push: bool = Field(default=False, description="Images are scanned when they arrive.")
    kms_key: str | None = Field(None, min_length=1, description="Key of KMS that encrypts; absent: AES256.")
    tags: dict[str, str] = Field(default_factory=dict, description="Tags of AWS, as `team: platform`.")


class AwsLogin(Section):
    """An identity of AWS as its SDK finds it (variables, profile, role of the pod or machine), for Amazon ECR."""

    region: _Id | None = Field(None, description="Region of the registry; absent: as its host name says.")
    profile: str | None = Field(None, min_length=1, description="Profile in the files of AWS; absent: the default.")
    role_arn: _RoleArn | None = Field(None, description="Role that the identity takes on for this registry.")
    create_repositories: EcrRepositories | None = Field(
        None, description="Make repositories that are missing when something is pushed, of a replica; absent: never."
    )

    @model_validator(mode="after")
    def _can_be_used(self, info: ValidationInfo) -> "AwsLogin":
        if info.context is not None:
            need_extra("aws")
        return self


class GcpLogin(Section):
    """An identity of Google Cloud, for Artifact Registry."""

    key_file: FilePath | None = Field(
        None,
        description="Key of a service account, JSON; absent: what the environment offers (metadata server, workload "
        "identity, the file that `GOOGLE_APPLICATION_CREDENTIALS` names).",
    )

    @model_validator(mode="after")
    def _can_be_used(self, info: ValidationInfo) -> "GcpLogin":
        if info.context is not None:
            need_extra("gcp")
        return self
