"""The three calls of Amazon ECR's own API that are needed, by the SDK. Only this module imports it, when asked.

They block, for up to a minute. What AWS says is not shown but for the code of its error.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from replicator.registry.logins.sdk_proxies import SdkProxies
from replicator.registry.logins.source import NoProof
from replicator.settings.clouds import AwsLogin, EcrRepositories

_LIFE = 12 * 3600.0
_SHORTEST = 60.0
_SERVER_ERROR = 500
_MOST_IMAGES = 1000
_MOST_PAGES = 100
_ROLE_SECONDS = 3600
_SESSION = "replicator"
PUBLIC_REGION = "us-east-1"
"""Where the API of Amazon ECR Public is, whatever region reads from it."""


@dataclass(frozen=True, slots=True)
class EcrApi:
    """The API in one region, as the configured identity. `account` is whose registry it is, "" for the identity's.

    `public`: the API of Amazon ECR Public, whose answers are built alike but for lists of one.
    """

    login: AwsLogin
    proxies: SdkProxies
    region: str
    account: str = ""
    public: bool = False

    def password(self) -> tuple[str, float]:
        """Return the password of the user `AWS` and the seconds that it lives. Raises NoProof."""
        with _told(f"{self._service}:GetAuthorizationToken"):
            answer = self._client().get_authorization_token()
        try:
            told = answer["authorizationData"]
            data = told if self.public else told[0]
            user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
            # Both times are of the same clock.
            sent = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
            life = (data["expiresAt"] - sent).total_seconds()
        except (LookupError, ValueError, TypeError, binascii.Error):
            # The cause is dropped on purpose: it may hold the password.
            raise NoProof("Amazon ECR gave no password that can be read", temporary=True) from None
        if user != "AWS" or not password:
            raise NoProof("Amazon ECR gave no password that can be read", temporary=True)
        return password, min(_LIFE, max(_SHORTEST, life))

    def create(self, repository: str) -> None:
        """Make a repository; that it is there already is as good. Raises NoProof."""
        how = self.login.create_repositories or EcrRepositories()
        wanted: dict[str, Any] = {
            "repositoryName": repository,
            "imageTagMutability": "IMMUTABLE" if how.immutable else "MUTABLE",
            "imageScanningConfiguration": {"scanOnPush": how.scan_on_push},
            "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": how.kms_key}
            if how.kms_key
            else {"encryptionType": "AES256"},
            "tags": [{"Key": key, "Value": value} for key, value in how.tags.items()],
        }
        if self.account:
            wanted["registryId"] = self.account
        with _told("ecr:CreateRepository", also_fine="RepositoryAlreadyExistsException"):
            self._client().create_repository(**wanted)

    def opened(self) -> Any:
        """Return a client of the SDK, for `images`; making one takes long. Raises NoProof."""
        with _told("sts:AssumeRole"):
            return self._client()

    def images(self, repository: str, client: Any) -> list[object]:
        """Return the identifiers of all tagged images of a repository, unchecked. Raises NoProof."""
        wanted: dict[str, Any] = {
            "repositoryName": repository,
            "filter": {"tagStatus": "TAGGED"},
            "maxResults": _MOST_IMAGES,
        }
        if self.account:
            wanted["registryId"] = self.account
        found: list[object] = []
        with _told("ecr:ListImages"):
            for _ in range(_MOST_PAGES):
                answer = client.list_images(**wanted)
                found += answer.get("imageIds") or ()
                wanted["nextToken"] = answer.get("nextToken")
                if not wanted["nextToken"]:
                    return found
        raise NoProof(f"AWS lists more than {_MOST_PAGES * _MOST_IMAGES} images in {repository}")

    @property
    def _service(self) -> str:
        return "ecr-public" if self.public else "ecr"

    def _client(self) -> Any:
        from botocore.session import Session  # noqa: PLC0415 -- an extra

        # New ones each time: what was rotated counts.
        session = Session(profile=self.login.profile)
        keys: dict[str, str] = {}
        if self.login.role_arn is not None:
            taken = self._made(session, "sts").assume_role(
                RoleArn=self.login.role_arn, RoleSessionName=_SESSION, DurationSeconds=_ROLE_SECONDS
            )["Credentials"]
            keys = {
                "aws_access_key_id": taken["AccessKeyId"],
                "aws_secret_access_key": taken["SecretAccessKey"],
                "aws_session_token": taken["SessionToken"],
            }
        return self._made(session, self._service, **keys)

    def _made(self, session: Any, service: str, **keys: str) -> Any:
        from botocore.config import Config  # noqa: PLC0415 -- an extra

        network = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
        client = session.create_client(service, region_name=self.region, config=network, **keys)
        # Only now it is known where the service is.
        proxies = self.proxies.towards(client.meta.endpoint_url)
        if proxies is None:
            return client
        config = network.merge(Config(proxies=proxies))
        # For those that the SDK makes by itself, to find out who it is.
        session.set_default_client_config(Config(proxies=proxies))
        return session.create_client(service, region_name=self.region, config=config, **keys)


@contextmanager
def _told(right: str, *, also_fine: str = "") -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 -- an extra

    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code == also_fine and code:
            return
        shown = code if code.isalnum() else "an unknown code"
        raise NoProof(
            f"AWS refused {right} ({shown})", temporary=status >= _SERVER_ERROR or code.startswith("Throttl")
        ) from None
    except (BotoCoreError, OSError) as error:
        raise NoProof(f"AWS was not asked for {right} ({type(error).__name__})", temporary=True) from None
