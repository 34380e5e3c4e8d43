"""Google's token service and metadata server, as far as an identity needs them; they check what they are sent."""

import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.web import serve

EMAIL = "mirror@project.iam.gserviceaccount.com"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_AUDIENCE = "https://oauth2.googleapis.com/token"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@dataclass(slots=True)
class Google:
    """The servers' state; `issue` is told each new token, `refusal` answers everything when it is not 0."""

    url: str = ""
    issue: Callable[[str], None] = lambda _: None
    issued: list[str] = field(default_factory=list)
    refusal: int = 0
    asked: list[str] = field(default_factory=list)
    _key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def write_key(self, path: Path) -> Path:
        """Write the key file of the service account."""
        form = serialization.PrivateFormat.PKCS8
        pem = self._key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()
        document = {
            "type": "service_account",
            "client_email": EMAIL,
            "private_key": pem,
            "private_key_id": "k",
            "token_uri": f"{self.url}/token",
        }
        path.write_text(json.dumps(document))
        return path

    async def token(self, request: web.Request) -> web.Response:
        """Answer a signed assertion of the service account with an access token."""
        form = await request.post()
        claims = jwt.decode(str(form["assertion"]), self._key.public_key(), algorithms=["RS256"], audience=_AUDIENCE)
        right = form["grant_type"] == _GRANT and claims["iss"] == EMAIL and claims["scope"] == SCOPE
        self.asked.append("assertion")
        if self.refusal or not right:
            return web.json_response(
                {"error": "invalid_grant", "error_description": "canary"}, status=self.refusal or 400
            )
        return self._token()

    async def metadata(self, request: web.Request) -> web.Response:
        """Answer as the metadata server of a machine."""
        if request.headers.get("Metadata-Flavor") != "Google":
            return web.Response(status=403)
        flavor = {"Metadata-Flavor": "Google"}
        what = request.path.removeprefix("/computeMetadata/v1").strip("/")
        if what.endswith("/token"):
            self.asked.append("metadata")
            answer = self._token()
            answer.headers.update(flavor)
            return answer
        if what == "project/project-id":
            return web.Response(text="project", headers=flavor)
        if what == "universe/universe-domain":
            return web.Response(text="googleapis.com", headers=flavor)
        if what.startswith("instance/service-accounts"):
            document = {"email": EMAIL, "scopes": [SCOPE], "aliases": ["default"]}
            return web.json_response(document, headers=flavor)
        return web.Response(text="", headers=flavor)

    def _token(self) -> web.Response:
        self.issued.append(f"ya29.canary-{len(self.issued)}-{int(time.time())}")
        self.issue(self.issued[-1])
        return web.json_response({"access_token": self.issued[-1], "expires_in": 3600, "token_type": "Bearer"})


@contextlib.asynccontextmanager
async def run_google() -> AsyncIterator[Google]:
    """Run both on one port."""
    google = Google()
    app = web.Application()
    app.router.add_post("/token", google.token)
    app.router.add_get("/{anything:.*}", google.metadata)
    async with serve(app) as url:
        google.url = url
        yield google
