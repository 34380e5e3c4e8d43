"""Docker's `config.json` and podman's `auth.json`: which login is for which registry (A12). Pure."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from replicator import strict_json
from replicator.errors import SettingsError
from replicator.model import shown
from replicator.settings.proof import NOBODY, Proof
from replicator.settings.secrets import Secret

LONGEST = 1024 * 1024
"""Bytes; no such file is longer."""
HUB = "docker.io"
_HUB_NAMES = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_HELPER = re.compile(r"[A-Za-z0-9._-]+")
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_LEGACY_PATHS = frozenset({"", "v1", "v1/", "v2", "v2/"})


@dataclass(frozen=True, slots=True)
class DockerConfig:
    """The logins of one file. Hosts are `host` or `host:port`, all of Docker Hub's names are `docker.io`.

    `auths` are by host or, as podman has them, by `host/repository` or the beginning of one; `helpers` are the names
    of credential helpers by host, `store` the one for all other hosts ("" for none).
    """

    auths: Mapping[str, Proof] = field(default_factory=dict)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""

    def helper(self, hosts: Sequence[str]) -> str:
        """Return the helper to ask about a registry with these names, "" when the file itself holds its login."""
        return next((self.helpers[host] for host in hosts if host in self.helpers), self.store)

    def proof(self, hosts: Sequence[str], repository: str) -> Proof:
        """Return the login for a repository ("" for none in particular): that of the longest key wins."""
        return next((self.auths[key] for key in keys_of(hosts, repository) if self.auths.get(key)), NOBODY)


def keys_of(hosts: Sequence[str], repository: str) -> Iterator[str]:
    """Yield the keys that may hold the login for a repository ("" for none in particular), the first that counts."""
    parts = repository.split("/") if repository else []
    for length in range(len(parts), -1, -1):
        for host in hosts:
            yield "/".join((host, *parts[:length]))


def read(data: bytes) -> DockerConfig:
    """Return what the file's bytes say. Raises SettingsError, whose message holds no value of the file."""
    try:
        document = strict_json.loads(data, limit=LONGEST)
    except strict_json.Invalid as error:
        raise SettingsError(str(error)) from error
    if not isinstance(document, dict):
        raise SettingsError("it is not a JSON object")
    store = document.get("credsStore") or ""
    return DockerConfig(
        auths=_auths(_mapping(document, "auths")),
        helpers={
            _place(host): _helper(name, f"credHelpers of {shown(host)}")
            for host, name in _mapping(document, "credHelpers").items()
        },
        store=_helper(store, "credsStore"),
    )


def _auths(entries: Mapping[str, Any]) -> Mapping[str, Proof]:
    found: dict[str, Proof] = {}
    # A key that is written as the host itself goes before one in an older form.
    for key in sorted(entries, key=lambda key: key != _place(key)):
        proof = _proof(key, entries[key])
        if proof:
            found.setdefault(_place(key), proof)
    return found


def _place(key: str) -> str:
    """Return `host` or `host/repository` for a key in any of the forms that were ever written."""
    bare = _SCHEME.sub("", key, count=1)
    host, _, path = bare.partition("/")
    host = host.lower()
    host = HUB if host in _HUB_NAMES else host
    return host if bare != key or path in _LEGACY_PATHS else f"{host}/{path.rstrip('/')}"


def _proof(key: str, entry: Any) -> Proof:
    if not isinstance(entry, dict):
        raise SettingsError(f"auths of {shown(key)} is not an object")
    texts = {name: _text(key, entry, name) for name in ("auth", "username", "password")}
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        username, password = _decoded(key, texts["auth"])
    token, identity_token = _text(key, entry, "registrytoken"), _text(key, entry, "identitytoken")
    if token:
        return Proof(token=Secret.of_text(token))
    if identity_token:
        # Docker writes a made-up user name beside it, which is no login of its own.
        return Proof(identity_token=Secret.of_text(identity_token))
    if username and password:
        return Proof(username=username, password=Secret.of_text(password))
    return NOBODY


def _decoded(key: str, text: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        # The cause is dropped on purpose: it carries the bytes.
        raise SettingsError(f"auth of {shown(key)} is not base64 of text") from None
    if not colon or not user:
        raise SettingsError(f"auth of {shown(key)} does not hold USER:PASSWORD")
    return user, password.rstrip("\0")


def _helper(name: Any, where: str) -> str:
    if not isinstance(name, str) or (name and not _HELPER.fullmatch(name)):
        raise SettingsError(f"{where} is not the name of a credential helper")
    return name


def _text(key: str, entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name) or ""
    if not isinstance(value, str):
        raise SettingsError(f"{name} of {shown(key)} is not text")
    return value


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, dict):
        raise SettingsError(f"{name} is not an object")
    return value
