"""AWS as far as ECR needs it: ECR's API and STS, which check signatures, and a registry that asks for it."""

import base64
import contextlib
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from tests.support.distribution_files import tags_in
from tests.support.front import pass_on
from tests.support.registries import run_registry
from tests.support.web import basic_of, serve

REGION = "eu-central-1"
KEY_ID = "AKIAEXAMPLE0000000000"
ROLE = "arn:aws:iam::123456789012:role/mirror"
_LIFE = 12 * 3600
_TARGET = "AmazonEC2ContainerRegistry_V20150921."
_PUBLIC_TARGET = "SpencerFrontendService."
_PLACES = {"ecr": REGION, "sts": REGION, "ecr-public": "us-east-1"}
_STS = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken>session-canary</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


@dataclass(slots=True)
class Aws:
    """The servers' state. `keys` are secrets by their id; `passwords` those that the registry takes.

    `asked` is what was asked of the registry, method and raw path; a page of images has at most `most`.
    """

    keys: dict[str, str] = field(default_factory=lambda: {KEY_ID: "secret-canary"})
    passwords: list[str] = field(default_factory=list)
    repositories: dict[str, dict[str, Any]] = field(default_factory=dict)
    may_create: bool = True
    may_list: bool = True
    most: int = 1000
    calls: list[str] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)
    signers: list[str] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    api: str = ""
    url: str = ""
    upstream: str = ""
    root: Path = Path()

    async def call(self, request: web.Request) -> web.Response:
        """Answer one call of either API."""
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        service = "ecr-public" if target.startswith(_PUBLIC_TARGET) else "ecr" if target else "sts"
        signer = self._signer(request, body, service)
        if signer is None:
            return _error(400, "InvalidSignatureException")
        self.signers.append(signer)
        if self.refusal is not None:
            return _error(*self.refusal)
        if service == "sts":
            return self._assume_role(parse_qs(body.decode()))
        action = target.removeprefix(_TARGET).removeprefix(_PUBLIC_TARGET)
        self.calls.append(action)
        if action == "GetAuthorizationToken":
            return self._token(one=service == "ecr-public")
        if action == "ListImages":
            return self._images(json.loads(body))
        return self._create(json.loads(body))

    async def registry(self, request: web.Request) -> web.StreamResponse:
        """Answer as the registry does: Basic on every request, and no repository that nobody made."""
        self.asked.append((request.method, request.raw_path))
        user, password = basic_of(request.headers.get("Authorization", "")) or ("", "")
        if user != "AWS" or password not in self.passwords:
            challenge = {"WWW-Authenticate": f'Basic realm="{self.url}/",service="ecr.amazonaws.com"'}
            return web.json_response({"errors": [{"code": "DENIED"}]}, status=401, headers=challenge)
        parts = request.path.removeprefix("/v2/").split("/")
        ends = [place for place, part in enumerate(parts) if part in {"blobs", "manifests", "tags"}]
        name = "/".join(parts[: ends[0]]) if ends else ""
        if name and name not in self.repositories:
            return web.json_response({"errors": [{"code": "NAME_UNKNOWN", "message": "no such one"}]}, status=404)
        return await pass_on(request, self.upstream, drop=frozenset({"authorization"}))

    def _token(self, *, one: bool) -> web.Response:
        self.passwords.append(f"ecr-canary-{len(self.calls)}")
        token = base64.b64encode(f"AWS:{self.passwords[-1]}".encode()).decode()
        data = {"authorizationToken": token, "expiresAt": time.time() + _LIFE, "proxyEndpoint": self.url}
        told = data if one else [data]
        return web.json_response({"authorizationData": told}, content_type="application/x-amz-json-1.1")

    def _images(self, wanted: dict[str, Any]) -> web.Response:
        """Answer with a page of tagged images; the token of the next one is where it begins."""
        name = wanted["repositoryName"]
        if not self.may_list or wanted["filter"] != {"tagStatus": "TAGGED"}:
            return _error(400, "AccessDeniedException")
        if name not in self.repositories:
            return _error(400, "RepositoryNotFoundException")
        begin, size = int(wanted.get("nextToken", "0")), min(self.most, wanted.get("maxResults", 100))
        tags = list(tags_in(self.root, name).items())
        page = tags[begin : begin + size]
        answer: dict[str, Any] = {"imageIds": [{"imageTag": tag, "imageDigest": digest} for tag, digest in page]}
        if begin + size < len(tags):
            answer["nextToken"] = str(begin + size)
        return web.json_response(answer, content_type="application/x-amz-json-1.1")

    def _create(self, wanted: dict[str, Any]) -> web.Response:
        name = wanted["repositoryName"]
        if not self.may_create:
            return _error(400, "AccessDeniedException")
        if name in self.repositories:
            return _error(400, "RepositoryAlreadyExistsException")
        self.repositories[name] = wanted
        return web.json_response({"repository": {"repositoryName": name}}, content_type="application/x-amz-json-1.1")

    def _assume_role(self, form: dict[str, list[str]]) -> web.Response:
        self.calls.append(form["Action"][0])
        if form["RoleArn"] != [ROLE]:
            return web.Response(
                status=403, text="<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
            )
        self.keys["ASIAEXAMPLE"] = "role-canary"
        return web.Response(text=_STS.format(key="ASIAEXAMPLE", secret="role-canary"), content_type="text/xml")

    def _signer(self, request: web.Request, body: bytes, service: str) -> str | None:
        """Return whose signature (version 4) is right, None when it is not."""
        algorithm, _, rest = request.headers.get("Authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",")) if rest else {}
        key_id, _, scope = parts.get("Credential", "").partition("/")
        day, _, place = scope.partition("/")
        secret = self.keys.get(key_id)
        if algorithm != "AWS4-HMAC-SHA256" or secret is None or place != f"{_PLACES[service]}/{service}/aws4_request":
            return None
        names = parts["SignedHeaders"].split(";")
        lines = [f"{name}:{' '.join(request.headers[name].split())}\n" for name in names]
        canonical = "\n".join(
            [request.method, request.path, "", "".join(lines), ";".join(names), hashlib.sha256(body).hexdigest()]
        )
        text = "\n".join(
            [algorithm, request.headers["X-Amz-Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
        )
        key = f"AWS4{secret}".encode()
        for word in (day, _PLACES[service], service, "aws4_request"):
            key = hmac.digest(key, word.encode(), "sha256")
        return key_id if hmac.digest(key, text.encode(), "sha256").hex() == parts["Signature"] else None


def _error(status: int, code: str) -> web.Response:
    document = {"__type": code, "message": "not shown: canary"}
    return web.json_response(document, status=status, content_type="application/x-amz-json-1.1")


def environ_of(aws: Aws, folder: Path) -> dict[str, str]:
    """Return the variables that lead AWS's SDK here, as the holder of the key."""
    return {
        "AWS_ENDPOINT_URL": aws.api,
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": "secret-canary",
        "AWS_CONFIG_FILE": str(folder / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.asynccontextmanager
async def run_aws(folder: Path) -> AsyncIterator[Aws]:
    """Run the APIs, the registry and the Distribution behind it."""
    aws = Aws()
    api, front = web.Application(), web.Application(client_max_size=64 * 1024 * 1024)
    api.router.add_post("/", aws.call)
    front.router.add_route("*", "/{anything:.*}", aws.registry)
    async with run_registry(folder, name="ecr") as registry, serve(api) as api_url, serve(front) as url:
        aws.api, aws.url, aws.upstream, aws.root = api_url, url, registry.url, registry.root
        yield aws
