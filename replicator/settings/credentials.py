"""How the daemon proves who it is to a registry, and how senders prove it to the daemon."""

from pydantic import Field, ValidationInfo, model_validator

from replicator.settings.clouds import AwsLogin, AzureLogin, GcpLogin
from replicator.settings.fields import Duration, HeaderName, HttpsUrl, Many, QueryName, TopicArn, UserName, refuse
from replicator.settings.files import DockerConfigFile, SecretFile, SecretFiles, SecretVariable
from replicator.settings.logins import TokenLogin
from replicator.settings.secrets import Secret, standard_webhooks_key
from replicator.settings.section import Section


class Credentials(TokenLogin):
    """One way to log in to a registry: user name and password, or a token, or an identity token."""

    identity_token_file: SecretFile | None = Field(
        None, description="File that holds an identity (refresh) token, exchanged for short ones."
    )
    identity_token_env: SecretVariable | None = Field(
        None, description="Environment variable that holds an identity token."
    )
    docker_config: DockerConfigFile | None = Field(
        None,
        description="Docker's `config.json` or podman's `auth.json`, with its `credHelpers`, `credsStore` and "
        "`identitytoken`; only the login for this registry's host and port is used.",
    )
    azure: AzureLogin | None = Field(None, description="Log in to Azure Container Registry as an identity of Entra.")
    aws: AwsLogin | None = Field(None, description="Log in to Amazon ECR as an identity of AWS.")
    gcp: GcpLogin | None = Field(
        None, description="Log in to Google Artifact Registry as an identity of Google Cloud."
    )

    @property
    def identity_token(self) -> Secret | None:
        """The token for the refresh-token grant, wherever it is."""
        return self.identity_token_file or self.identity_token_env


class BasicAuth(Section):
    """User name and password that a sender must show."""

    username: UserName = Field(description="User name.", examples=["hook"])
    password_file: SecretFiles = Field((), description="File that holds the password; a list while it is rotated.")
    password_env: SecretVariable | None = Field(None, description="Environment variable that holds the password.")

    @property
    def passwords(self) -> tuple[Secret, ...]:
        """All passwords that are valid now."""
        return _all(self.password_file, self.password_env)


class HeaderAuth(Section):
    """A header with a secret value that a sender must send."""

    name: HeaderName = Field(description="Name of the header.", examples=["X-Hook-Token"])
    value_file: SecretFiles = Field((), description="File that holds the value; a list while it is rotated.")
    value_env: SecretVariable | None = Field(None, description="Environment variable that holds the value.")

    @property
    def values(self) -> tuple[Secret, ...]:
        """All values that are valid now."""
        return _all(self.value_file, self.value_env)


class QueryAuth(Section):
    """A secret in the query of the URL that a sender calls."""

    name: QueryName = Field("token", description="Name before the `=`.")
    value_file: SecretFiles = Field((), description="File that holds the value; a list while it is rotated.")
    value_env: SecretVariable | None = Field(None, description="Environment variable that holds the value.")

    @property
    def values(self) -> tuple[Secret, ...]:
        """All values that are valid now."""
        return _all(self.value_file, self.value_env)


class _KeyAuth(Section):
    secret_file: SecretFiles = Field((), description="File that holds the key; a list while it is rotated.")
    secret_env: SecretVariable | None = Field(None, description="Environment variable that holds the key.")

    @property
    def keys(self) -> tuple[Secret, ...]:
        """All keys that are valid now."""
        return _all(self.secret_file, self.secret_env)


class HmacSha256Auth(_KeyAuth):
    """The HMAC-SHA256 of the body in a header, in hex, bare or after `sha256=`."""

    header: HeaderName = Field("X-Hub-Signature-256", description="Header with the signature.")


class HmacSha1Auth(_KeyAuth):
    """The HMAC-SHA1 of the body in a header, in hex, bare or after `sha1=`."""

    header: HeaderName = Field("X-Nexus-Webhook-Signature", description="Header with the signature.")


class StandardWebhooksAuth(_KeyAuth):
    """Signatures by Standard Webhooks 1.0.0; the key is written `whsec_BASE64`."""

    tolerance: Duration = Field(300.0, ge=1, le=3600, description="How far the signed time may be from ours.")

    @model_validator(mode="after")
    def _are_keys(self, info: ValidationInfo) -> "StandardWebhooksAuth":
        for secret in self.keys if info.context is not None else ():
            if not standard_webhooks_key(secret.reveal()):
                refuse(f"the secret in {secret.origin} is no key", "write whsec_ and the key in base64 there")
        return self


class JwtAuth(Section):
    """A token of an identity provider in `Authorization: Bearer`, as Google Pub/Sub and Microsoft Entra send it."""

    issuer: HttpsUrl = Field(description="Claim `iss`.", examples=["https://accounts.google.com"])
    audience: Many[str] = Field(min_length=1, description="Claim `aud`, one of these.", examples=["replicator"])
    keys_url: HttpsUrl | None = Field(None, description="The provider's keys; absent: its own document says where.")
    claims: dict[str, str] = Field(
        min_length=1,
        description="What else the token must say, of who sends: `email` at Google, `azp` or `appid` at Entra.",
        examples=[{"email": "push@project.iam.gserviceaccount.com"}],
    )


class SnsAuth(Section):
    """The signature of Amazon SNS; a subscription to one of the topics is confirmed when it asks for it."""

    topics: Many[TopicArn] = Field(
        min_length=1, description="Whose messages count.", examples=["arn:aws:sns:eu-west-1:123456789012:ecr-events"]
    )


class EndpointAuth(Section):
    """What a sender must show; exactly one of these ways."""

    bearer_token_file: SecretFiles = Field(
        (), description="File that holds the token of `Authorization: Bearer`; a list while it is rotated."
    )
    bearer_token_env: SecretVariable | None = Field(None, description="Environment variable that holds that token.")
    basic: BasicAuth | None = Field(None, description="User name and password.")
    header: HeaderAuth | None = Field(None, description="A header of any name with a secret value.")
    query: QueryAuth | None = Field(None, description="A secret in the query of the URL, for who sends no headers.")
    hmac_sha256: HmacSha256Auth | None = Field(None, description="Signature of the body, HMAC-SHA256.")
    hmac_sha1: HmacSha1Auth | None = Field(None, description="Signature of the body, HMAC-SHA1.")
    standard_webhooks: StandardWebhooksAuth | None = Field(
        None, description="Signature by the Standard Webhooks rules; a delivery that comes again is not taken again."
    )
    jwt: JwtAuth | None = Field(None, description="A signed token of an identity provider.")
    sns: SnsAuth | None = Field(None, description="Signature of Amazon SNS.")

    @property
    def bearer_tokens(self) -> tuple[Secret, ...]:
        """All bearer tokens that are valid now."""
        return _all(self.bearer_token_file, self.bearer_token_env)


def _all(files: tuple[Secret, ...], variable: Secret | None) -> tuple[Secret, ...]:
    return files if variable is None else (*files, variable)
