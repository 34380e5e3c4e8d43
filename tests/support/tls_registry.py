"""A real Distribution with TLS, which may ask clients for a certificate; its content is reached by HTTP too."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.registries import DockerRegistry, Registry, RegistryTls, run_registry


@dataclass(frozen=True, slots=True)
class TlsRegistry:
    """`secure` is the one to test; `plain` has the same content, for pushing and looking."""

    secure: Registry
    plain: Registry


@contextlib.asynccontextmanager
async def run_tls_registry(
    folder: Path, authority: trustme.CA, *names: str, clients: trustme.CA | None = None, name: str = "secure"
) -> AsyncIterator[TlsRegistry]:
    """Run both; the certificate is of `authority` for 127.0.0.1 and `names`, `clients` is whose clients may come."""
    tls = RegistryTls(
        certificate=write_certificate(authority.issue_cert("127.0.0.1", *names), folder / f"{name}.pem"),
        client_ca=None if clients is None else write_authority(clients, folder / f"{name}-clients.pem"),
    )
    async with run_registry(folder, name=f"{name}-plain") as plain:
        secure = DockerRegistry(folder, name=name, tls=tls, fast=False, relative_urls=True)
        secure.root = plain.root
        try:
            await secure.start()
            yield TlsRegistry(secure, plain)
        finally:
            secure.discard()


def write_certificate(certificate: trustme.LeafCert, path: Path) -> Path:
    """Write certificate and key into one file."""
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    return path


def write_authority(authority: trustme.CA, path: Path) -> Path:
    """Write the certificate that makes others believed."""
    authority.cert_pem.write_to_path(str(path))
    return path
