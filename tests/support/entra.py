"""Microsoft Entra and Azure's metadata service, as far as an identity needs them: over HTTPS and HTTP, checking."""

import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import trustme
from aiohttp import web
from cryptography.x509 import load_pem_x509_certificate

from tests.support.ports import Port

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
AUDIENCE = "https://containerregistry.azure.net"


@dataclass(slots=True)
class Entra:
    """The servers' state. `secret` and `federated` are what a client must show, `refusal` is the error for all.

    `certificate` (PEM), once there, is whose key must have signed what is shown in place of `federated`.
    """

    authority: str = ""
    metadata: str = ""
    secret: str = "s-canary"
    federated: str = "f-canary"
    certificate: bytes = b""
    refusal: str = ""
    metadata_status: int = 200
    issued: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)

    async def discovery(self, request: web.Request) -> web.Response:
        """Answer the document that a client reads first."""
        base = f"{self.authority}/{request.match_info['tenant']}"
        return web.json_response(
            {
                "issuer": f"{base}/v2.0",
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
            }
        )

    async def token(self, request: web.Request) -> web.Response:
        """Answer the client credentials grant, by secret or by a federated token."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.asked.append(form)
        right = {"grant_type": "client_credentials", "client_id": CLIENT, "scope": f"{AUDIENCE}/.default"}
        if "client_secret" in form:
            proof = {"client_secret": self.secret}
        elif self.certificate and self._signed(form.get("client_assertion", "")):
            proof = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        else:
            proof = {"client_assertion": self.federated}
        if self.refusal or request.match_info["tenant"] != TENANT or not (right | proof).items() <= form.items():
            text = self.refusal or "AADSTS7000215: Invalid client secret provided, not canary."
            return web.json_response({"error": "invalid_client", "error_description": text}, status=401)
        return web.json_response({"access_token": self._issue(), "expires_in": 3599, "token_type": "Bearer"})

    async def identity(self, request: web.Request) -> web.Response:
        """Answer as the metadata service of a machine with a managed identity."""
        self.asked.append(dict(request.query))
        if request.headers.get("Metadata") != "true" or request.query.get("resource") != AUDIENCE:
            return web.json_response({"error": "invalid_request"}, status=400)
        if self.metadata_status != 200:
            return web.json_response({"error": "no canary"}, status=self.metadata_status)
        document = {
            "access_token": self._issue(),
            "expires_in": "86399",
            "token_type": "Bearer",
            "resource": AUDIENCE,
        }
        return web.json_response(document)

    def _signed(self, assertion: str) -> bool:
        """Say whether the registered certificate's key signed this, for this client and this very endpoint."""
        key = load_pem_x509_certificate(self.certificate).public_key()
        endpoint = f"{self.authority}/{TENANT}/oauth2/v2.0/token"
        try:
            claims = jwt.decode(assertion, key, ["RS256", "PS256"], audience=endpoint, issuer=CLIENT)  # type: ignore[arg-type]  # the key is RSA, or the algorithm is refused
        except jwt.InvalidTokenError:
            return False
        return bool(claims["sub"] == CLIENT)

    def _issue(self) -> str:
        self.issued.append(f"entra-canary-{len(self.issued)}-{int(time.time())}")
        return self.issued[-1]


@contextlib.asynccontextmanager
async def run_entra(folder: Path) -> AsyncIterator[Entra]:
    """Run both; `folder/entra.pem` is the certificate to trust."""
    entra = Entra()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "entra.pem"))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    secure, plain = web.Application(), web.Application()
    secure.router.add_get("/{tenant}/v2.0/.well-known/openid-configuration", entra.discovery)
    secure.router.add_post("/{tenant}/oauth2/v2.0/token", entra.token)
    plain.router.add_get("/metadata/identity/oauth2/token", entra.identity)
    async with contextlib.AsyncExitStack() as stack:
        for app, context in ((secure, tls), (plain, None)):
            port = Port()
            stack.callback(port.release)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            stack.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", port.number, ssl_context=context, reuse_address=True).start()
            if context is None:
                entra.metadata = f"http://127.0.0.1:{port.number}"
            else:
                entra.authority = f"https://127.0.0.1:{port.number}"
        yield entra
