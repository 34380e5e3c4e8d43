"""Mistakes that only show when several values are seen together.

They look at the plain data, not at the finished settings, so that they are found beside all other mistakes; what is
of the wrong kind is somebody else's mistake and passed over.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from replicator.model import shown
from replicator.settings.document import DEFAULT_ADMIN
from replicator.settings.ecr_host import ECR_PUBLIC, ecr_place
from replicator.settings.listening import is_any_address
from replicator.settings.mistakes import KeyPath, Mistake
from replicator.settings.notify import name_of_url
from replicator.settings.registries import PRIMARY
from replicator.settings.units import parse_duration, parse_size
from replicator.settings.webhooks import name_of_path

_LOGINS = {
    "user name and password": ("username", "password_file", "password_env"),
    "token": ("token_file", "token_env"),
    "identity token": ("identity_token_file", "identity_token_env"),
    "docker_config": ("docker_config",),
    "azure": ("azure",),
    "aws": ("aws",),
    "gcp": ("gcp",),
    "creds_file": ("creds_file",),
}
_SNS = "write format: sns together with auth: {sns: {topics: [ARN]}}"
_SECRETS_OF_WAYS = {
    "basic": "password",
    "header": "value",
    "query": "value",
    "hmac_sha256": "secret",
    "hmac_sha1": "secret",
    "standard_webhooks": "secret",
}


def check_together(data: Any) -> list[Mistake]:
    """Return the mistakes in a file's data that concern more than one key."""
    return [
        *_check_replicas(data),
        *_check_rules(data),
        *_check_registries(data),
        *_check_servers(data),
        *_check_notify(data),
    ]


def _check_replicas(data: Any) -> Iterator[Mistake]:
    names: dict[str, KeyPath] = {}
    places: dict[tuple[str, str], str] = {(_url(_mapping(data, "primary")), ""): "the primary"}
    for path, replica in _items(data, "replicas"):
        name = replica.get("name")
        if name == PRIMARY:
            yield Mistake((*path, "name"), f"{PRIMARY} always means the primary", "choose another name")
        if isinstance(name, str):
            yield from _unique(names, name, (*path, "name"))
        place = (_url(replica), str(replica.get("repository_prefix", "")))
        if place[0] and place in places:
            yield Mistake(
                (*path, "url"), f"is the same place as {places[place]}", "write another URL or repository_prefix"
            )
        places.setdefault(place, f"replicas[{path[-1]}]")
    for path, replica in _items(data, "replicas"):
        source = replica.get("source", PRIMARY)
        if isinstance(source, str) and source != PRIMARY and (source not in names or source == replica.get("name")):
            yield Mistake(
                (*path, "source"), f"{shown(source)} is no other replica", f"write {_one_of([PRIMARY, *names])}"
            )


def _check_rules(data: Any) -> Iterator[Mistake]:
    names = [replica["name"] for _, replica in _items(data, "replicas") if isinstance(replica.get("name"), str)]
    for path, rule in _items(data, "rules"):
        wanted = rule.get("replicas")
        for index, name in enumerate(wanted if isinstance(wanted, list) else ()):
            here = (*path, "replicas", index)
            if isinstance(name, str) and name not in names:
                yield Mistake(here, f"{shown(name)} is the name of no replica", f"write {_one_of(names)}")
            elif isinstance(wanted, list) and name in wanted[:index]:
                yield Mistake(here, f"{shown(str(name))} is named twice", "remove one of them")


def _check_registries(data: Any) -> Iterator[Mistake]:
    for path, registry in [(("primary",), _mapping(data, "primary")), *_items(data, "replicas")]:
        if isinstance(registry.get("credentials"), dict):
            yield from _check_credentials((*path, "credentials"), registry["credentials"])
            if isinstance(registry["credentials"].get("aws"), dict):
                yield from _check_aws((*path, "credentials", "aws"), registry["credentials"]["aws"], _url(registry))
        if isinstance(registry.get("tls"), dict):
            yield from _check_tls((*path, "tls"), registry["tls"], _url(registry))
        if isinstance(registry.get("capabilities"), dict):
            yield from _check_chunks((*path, "capabilities"), registry["capabilities"])


def _check_chunks(path: KeyPath, said: Mapping[str, Any]) -> Iterator[Mistake]:
    try:
        least, most = (parse_size(said[key]) for key in ("chunk_min", "chunk_max"))
    except (KeyError, ValueError, TypeError):
        return
    if least > most:
        yield Mistake((*path, "chunk_min"), "is more than chunk_max", "write at most chunk_max")


def _check_credentials(path: KeyPath, credentials: Mapping[str, Any]) -> Iterator[Mistake]:
    used = [login for login, keys in _LOGINS.items() if any(key in credentials for key in keys)]
    if len(used) > 1:
        yield Mistake(path, f"holds {' and '.join(used)}", "keep one way to log in")
    if not credentials:
        yield Mistake(path, "is empty", "write username and password_file, or remove it to be anonymous")
    has_password = any(key.startswith("password") for key in credentials)
    if "username" in credentials and not has_password and len(used) == 1:
        yield Mistake(path, "has a user name without a password", "add password_file: PATH or password_env: VARIABLE")
    if has_password and "username" not in credentials:
        yield Mistake(path, "has a password without a user name", "add username: NAME")
    for key in ("password", "token", "identity_token"):
        yield from _not_both(path, credentials, key)


def _check_aws(path: KeyPath, aws: Mapping[str, Any], url: str) -> Iterator[Mistake]:
    host = url.partition("://")[2]
    if host == ECR_PUBLIC:
        for key in sorted({"region", "create_repositories"} & aws.keys()):
            yield Mistake((*path, key), "is of no use at Amazon ECR Public", "remove it")
        return
    if "region" not in aws and ecr_place(host) is None:
        yield Mistake(path, "does not say the region, and the URL does not either", "add region: REGION")
    if "create_repositories" in aws and path[0] == "primary":
        yield Mistake((*path, "create_repositories"), "is of no use at the primary", "remove it")


def _check_tls(path: KeyPath, tls: Mapping[str, Any], url: str) -> Iterator[Mistake]:
    if url.startswith("http:"):
        yield Mistake(path, "is of no use with an http:// URL", "write https:// in the URL, or remove tls:")
    if "key_file" in tls and "cert_file" not in tls:
        yield Mistake((*path, "key_file"), "is a key without its certificate", "add cert_file: PATH")
    if "ca_file" in tls and tls.get("insecure_skip_verify") is True:
        yield Mistake((*path, "ca_file"), "is of no use beside insecure_skip_verify: true", "remove one of them")


def _check_servers(data: Any) -> Iterator[Mistake]:
    webhooks, admin = _mapping(data, "webhooks"), _mapping(data, "admin")
    names: dict[str, KeyPath] = {}
    paths: dict[str, KeyPath] = {}
    for path, endpoint in _items(webhooks, "endpoints"):
        here = ("webhooks", *path)
        url_path = endpoint.get("path")
        if isinstance(url_path, str):
            yield from _unique(paths, url_path, (*here, "path"))
            default = name_of_path(url_path) if paths[url_path] == (*here, "path") else None
            name = endpoint.get("name", default)
            if isinstance(name, str) and name:
                yield from _unique(names, name, (*here, "name"))
        yield from _check_format(here, endpoint)
        auth = endpoint.get("auth")
        if (endpoint.get("format") == "sns") != (isinstance(auth, dict) and "sns" in auth):
            yield Mistake(here, "SNS is proven by its own signature, and nobody else by it", _SNS)
        if isinstance(auth, dict):
            yield from _check_auth((*here, "auth"), auth)
    for path, subscription in _items(webhooks, "subscriptions"):
        yield from _check_subscription(("webhooks", *path), subscription, names)
    yield from _not_both(("admin",), admin, "token")
    if _same_address(webhooks.get("listen", "0.0.0.0:8080"), admin.get("listen", DEFAULT_ADMIN)):
        key, other = ("admin", "webhooks") if "listen" in admin else ("webhooks", "admin")
        yield Mistake((key, "listen"), f"is also the address of {other}", "choose another port")
    retry = _mapping(data, "retry")
    if _seconds(retry.get("first", "1s")) > _seconds(retry.get("max", "5m"), missing=float("inf")):
        yield Mistake(("retry", "first"), "is longer than retry.max", "write a shorter pause than retry.max")


def _check_notify(data: Any) -> Iterator[Mistake]:
    names: dict[str, KeyPath] = {}
    for path, receiver in _items(data, "notify"):
        url = receiver.get("url")
        default = name_of_url(url) if isinstance(url, str) else None
        name = receiver.get("name", default)
        if isinstance(name, str) and name:
            yield from _unique(names, name, (*path, "name"))
        yield from _not_both(path, receiver, "secret")
        if not {"secret_file", "secret_env", "secret"} & set(receiver):
            yield Mistake(path, "holds no secret", "add secret_file: PATH or secret_env: VARIABLE")
        if isinstance(receiver.get("tls"), dict):
            yield from _check_tls((*path, "tls"), receiver["tls"], url.lower() if isinstance(url, str) else "")


def _check_subscription(
    path: KeyPath, subscription: Mapping[str, Any], names: dict[str, KeyPath]
) -> Iterator[Mistake]:
    name = subscription.get("name")
    if isinstance(name, str) and name:
        yield from _unique(names, name, (*path, "name"))
    yield from _check_format(path, subscription)
    if subscription.get("format") == "sns":
        yield Mistake((*path, "format"), "SNS delivers to endpoints only", "write it under endpoints:")
    if isinstance(subscription.get("credentials"), dict):
        yield from _check_credentials((*path, "credentials"), subscription["credentials"])
    if isinstance(subscription.get("tls"), dict):
        yield from _check_tls((*path, "tls"), subscription["tls"], "")


def _check_format(path: KeyPath, endpoint: Mapping[str, Any]) -> Iterator[Mistake]:
    generic, described = endpoint.get("format") == "generic", endpoint.get("generic")
    if generic and "generic" not in endpoint:
        yield Mistake(path, "does not say where the names are", "add generic: {repository: PATH, tag: PATH}")
    if described is not None and not generic:
        yield Mistake((*path, "generic"), "is of no use with another format", "write format: generic, or remove it")
    if not isinstance(described, dict):
        return
    here = (*path, "generic")
    if len({"repository", "image"} & described.keys()) != 1:
        yield Mistake(
            here, "does not say once where the repository is", "write either repository: PATH or image: PATH"
        )
    elif not {"image", "tag", "digest"} & described.keys():
        yield Mistake(here, "says neither where the tag nor where the digest is", "add tag: PATH or digest: PATH")
    if "action" not in described and {"pushes", "deletes"} & described.keys():
        yield Mistake(here, "says what actions mean but not where they are", "add action: PATH")


def _check_auth(path: KeyPath, auth: Mapping[str, Any]) -> Iterator[Mistake]:
    ways = {key.removesuffix("_file").removesuffix("_env") for key in auth}
    if len(ways) > 1:
        yield Mistake(path, "holds several ways to prove who sends", "keep one of them")
    if not auth:
        yield Mistake(path, "is empty", "write bearer_token_file: PATH, or the word none")
    yield from _not_both(path, auth, "bearer_token")
    for way, secret in _SECRETS_OF_WAYS.items():
        section = auth.get(way)
        if isinstance(section, dict):
            yield from _not_both((*path, way), section, secret)
            if not {f"{secret}_file", f"{secret}_env", secret} & set(section):
                yield Mistake((*path, way), "holds no secret", f"add {secret}_file: PATH or {secret}_env: VARIABLE")


def _not_both(path: KeyPath, section: Mapping[str, Any], key: str) -> Iterator[Mistake]:
    if f"{key}_file" in section and f"{key}_env" in section:
        yield Mistake((*path, f"{key}_env"), f"stands beside {key}_file", "keep one of them")


def _unique(seen: dict[str, KeyPath], value: str, path: KeyPath) -> Iterator[Mistake]:
    if value in seen:
        first = seen[value]
        yield Mistake(path, f"{shown(value)} is taken by {first[-3]}[{first[-2]}]", "choose another")
    seen.setdefault(value, path)


def _same_address(one: Any, other: Any) -> bool:
    if not isinstance(one, str) or not isinstance(other, str):
        return False
    (host, _, port), (other_host, _, other_port) = one.rpartition(":"), other.rpartition(":")
    return port == other_port != "0" and (host == other_host or is_any_address(host) or is_any_address(other_host))


def _seconds(text: Any, *, missing: float = 0.0) -> float:
    try:
        return parse_duration(text) if isinstance(text, str) else missing
    except ValueError:
        return missing


def _one_of(names: list[str]) -> str:
    return " or ".join(names) or "the name of a replica"


def _url(registry: Mapping[str, Any]) -> str:
    url = registry.get("url")
    return url.rstrip("/").lower() if isinstance(url, str) else ""


def _mapping(data: Any, key: str) -> Mapping[str, Any]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def _items(data: Any, key: str) -> list[tuple[KeyPath, Mapping[str, Any]]]:
    """Return the mappings in the list under `key`, with their paths."""
    value = data.get(key) if isinstance(data, dict) else None
    items = value if isinstance(value, list) else []
    return [((key, index), item) for index, item in enumerate(items) if isinstance(item, dict)]
