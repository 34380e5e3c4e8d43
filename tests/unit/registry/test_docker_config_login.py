"""Logins by Docker's file and by real credential helpers, in front of a registry that checks what it is shown."""

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from replicator.cli.advice import advice
from replicator.errors import AccessDenied
from replicator.model import Repository
from replicator.registry.endpoint import Endpoint
from replicator.registry.logins.docker_config import DockerConfigSource
from replicator.registry.logins.helper import ask_helper
from replicator.registry.logins.source import NoProof
from replicator.settings.credentials import Credentials
from tests.support.credential_helper import Helper
from tests.support.fake_clock import FakeClock
from tests.support.web import basic
from tests.unit.registry.scripted import BLOB, TEAM, Say, Script, bearer, client_for, demand, error, say_json

ASKS_BASIC = error(401, "UNAUTHORIZED", **{"WWW-Authenticate": 'Basic realm="x"'})
CANARY = basic("puller", "a-canary")["Authorization"]


@pytest.fixture
def keychain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Helper:
    """Put a helper named `keychain` on PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Helper(tmp_path, "keychain")


def config(folder: Path, **document: Any) -> Credentials:
    path = folder / "config.json"
    path.write_text(json.dumps(document))
    return Credentials(docker_config=path)


def entry(user: str, password: str) -> dict[str, str]:
    return {"auth": basic(user, password)["Authorization"].removeprefix("Basic ")}


def carried(script: Script, method: str = "HEAD") -> list[str | None]:
    return [seen.authorization for seen in script.asked(method)]


async def test_user_and_password_of_the_file(script: Script, tmp_path: Path) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC, Say(404))
    async with client_for(
        script.url, credentials=config(tmp_path, auths={script.host: entry("puller", "a-canary")})
    ) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(TEAM, BLOB)
    assert carried(script) == [None, CANARY, CANARY]


async def test_an_identity_token_of_the_file_is_exchanged(script: Script, tmp_path: Path) -> None:
    script.on("POST", "/token", say_json({"access_token": "t"}))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    written = entry("00000000-0000-0000-0000-000000000000", "x") | {"identitytoken": "i-canary"}
    async with client_for(script.url, credentials=config(tmp_path, auths={script.host: written})) as client:
        await client.has_blob(TEAM, BLOB)
    form = parse_qs(script.asked("POST", "/token")[0].body.decode())
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["i-canary"])


async def test_a_registry_token_of_the_file_is_sent_as_it_is(script: Script, tmp_path: Path) -> None:
    script.on("HEAD", "/v2/", demand("r-canary", Say(404), bearer("/token")))
    credentials = config(tmp_path, auths={script.host: {"registrytoken": "r-canary"}})
    async with client_for(script.url, credentials=credentials) as client:
        await client.has_blob(TEAM, BLOB)
    assert carried(script) == ["Bearer r-canary"]


async def test_the_login_of_another_port_is_never_sent(script: Script, elsewhere: Script, tmp_path: Path) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC)
    others = {elsewhere.host: entry("puller", "a-canary"), "127.0.0.1": entry("puller", "a-canary")}
    async with client_for(script.url, credentials=config(tmp_path, auths=others)) as client:
        with pytest.raises(AccessDenied, match="asks for user name and password of nobody") as caught:
            await client.has_blob(TEAM, BLOB)
        keys = " or ".join(f"{script.host}{path}" for path in ("/team/app", "/team", ""))
        assert str(caught.value).endswith(f"of nobody: the file {tmp_path / 'config.json'} holds none under {keys}")
    assert carried(script) == [None]


async def test_a_token_server_that_takes_nobody_leads_to_the_file_too(script: Script, tmp_path: Path) -> None:
    script.on("HEAD", "/v2/", bearer("/token"))
    script.on("GET", "/token", Say(401))
    async with client_for(script.url, credentials=config(tmp_path)) as client:
        with pytest.raises(
            AccessDenied, match=r"of nobody \(401\): the file .*config\.json holds none under"
        ) as caught:
            await client.has_blob(TEAM, BLOB)
    assert "docker_config" in advice(caught.value)


async def test_repositories_have_logins_of_their_own(script: Script, tmp_path: Path) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC, Say(404))
    auths = {script.host: entry("host", "x"), f"{script.host}/team": entry("team", "x")}
    async with client_for(script.url, credentials=config(tmp_path, auths=auths)) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(Repository("other/app"), BLOB)
    assert carried(script) == [
        None,
        basic("team", "x")["Authorization"],
        basic("host", "x")["Authorization"],
    ]


async def test_a_file_that_changed_counts_at_once(script: Script, tmp_path: Path) -> None:
    script.on("HEAD", "/v2/", ASKS_BASIC, Say(404))
    async with client_for(
        script.url, credentials=config(tmp_path, auths={script.host: entry("puller", "old")})
    ) as client:
        await client.has_blob(TEAM, BLOB)
        config(tmp_path, auths={script.host: entry("puller", "a-canary")})
        await client.has_blob(TEAM, BLOB)
    assert carried(script)[-1] == CANARY


async def test_a_file_that_cannot_be_used_is_an_error_and_not_nobody(script: Script, tmp_path: Path) -> None:
    credentials = config(tmp_path)
    (tmp_path / "config.json").write_text("{canary")
    async with client_for(script.url, credentials=credentials) as client:
        with pytest.raises(AccessDenied, match=r"config\.json cannot be used") as caught:
            await client.has_blob(TEAM, BLOB)
        (tmp_path / "config.json").unlink()
        with pytest.raises(AccessDenied, match=r"config\.json cannot be read"):
            await client.has_blob(TEAM, BLOB)
    assert caught.value.temporary
    assert "canary" not in str(caught.value)
    assert script.seen == []


@pytest.mark.parametrize("by", ["credHelpers", "credsStore"])
async def test_a_helper_is_asked_once_for_the_host(script: Script, tmp_path: Path, keychain: Helper, by: str) -> None:
    """What the file itself holds does not count then."""
    keychain.knows(script.host, "puller", "a-canary")
    named = {"credHelpers": {script.host: "keychain"}} if by == "credHelpers" else {"credsStore": "keychain"}
    script.on("HEAD", "/v2/", ASKS_BASIC, Say(404))
    clock = FakeClock()
    async with client_for(
        script.url, clock=clock, credentials=config(tmp_path, auths={script.host: entry("x", "y")}, **named)
    ) as client:
        await client.has_blob(TEAM, BLOB)
        await client.has_blob(TEAM, BLOB)
        assert keychain.asked() == [f"get {script.host}"]
        clock.advance(301)
        await client.has_blob(TEAM, BLOB)
    assert carried(script) == [None, CANARY, CANARY, CANARY]
    assert len(keychain.asked()) == 2


async def test_docker_hub_is_known_by_its_old_names(tmp_path: Path, keychain: Helper) -> None:
    keychain.knows("https://index.docker.io/v1/", "puller", "a-canary")
    hub = Endpoint.of("https://docker.io").origin
    path = config(tmp_path, credsStore="keychain").docker_config
    assert path is not None
    source = DockerConfigSource(path, hub, FakeClock())
    assert (await source.proof("library/alpine")).username == "puller"
    assert keychain.asked() == ["get https://index.docker.io/v1/"]
    config(tmp_path, auths={"https://index.docker.io/v1/": entry("in-the-file", "x")})
    assert (await source.proof("library/alpine")).username == "in-the-file"


async def test_an_identity_token_of_a_helper_is_exchanged(script: Script, tmp_path: Path, keychain: Helper) -> None:
    keychain.knows(script.host, "<token>", "i-canary")
    script.on("POST", "/token", say_json({"access_token": "t"}))
    script.on("HEAD", "/v2/", demand("t", Say(404), bearer("/token")))
    async with client_for(script.url, credentials=config(tmp_path, credsStore="keychain")) as client:
        await client.has_blob(TEAM, BLOB)
    assert parse_qs(script.asked("POST", "/token")[0].body.decode())["refresh_token"] == ["i-canary"]


async def test_a_helper_that_has_nothing_means_nobody(script: Script, tmp_path: Path, keychain: Helper) -> None:
    keychain.knows("other.example.com", "puller", "a-canary")
    script.on("HEAD", "/v2/", Say(404))
    credentials = config(tmp_path, credsStore="keychain", auths={script.host: entry("x", "y")})
    async with client_for(script.url, credentials=credentials) as client:
        assert not await client.has_blob(TEAM, BLOB)
        assert carried(script) == [None]
        script.on("HEAD", "/v2/", ASKS_BASIC)
        told = rf"docker-credential-keychain, which .*config\.json names, has none for {script.host}"
        with pytest.raises(AccessDenied, match=told):
            await client.has_blob(TEAM, BLOB)


BROKEN = {
    "fails": ("echo a-canary; exit 2", "failed with status 2"),
    "fails in other words": ("echo 'credentials not found'; exit 1", "failed with status 1"),
    "says nothing": ("exit 0", "printed something else than JSON"),
    "says it has nothing and succeeds": ("echo credentials not found in native keychain", "something else than JSON"),
    "prints no secret": ("""echo '{"Username": "canary"}'""", "printed no user name and secret"),
    "prints no user": ("""echo '{"Username": "", "Secret": "canary"}'""", "a user name that cannot be sent"),
    "prints too much": ("head -c 3000000 /dev/zero", "printed more than 1024 KiB"),
    "dies": ("kill -9 $$", "failed with status -9"),
}


@pytest.mark.parametrize(("lines", "message"), BROKEN.values(), ids=BROKEN)
async def test_a_helper_that_fails_is_an_error_and_never_nobody(
    script: Script, tmp_path: Path, keychain: Helper, lines: str, message: str
) -> None:
    keychain.runs(lines)
    credentials = config(tmp_path, credsStore="keychain", auths={script.host: entry("x", "y")})
    async with client_for(script.url, credentials=credentials) as client:
        with pytest.raises(AccessDenied, match=message) as caught:
            await client.has_blob(TEAM, BLOB)
        with pytest.raises(AccessDenied, match=message):
            await client.has_blob(TEAM, BLOB)
    assert "canary" not in f"{caught.value} {caught.value.__cause__}"
    assert script.seen == []
    assert len(keychain.asked()) == 1, "a failure is not repeated at once"


async def test_a_helper_that_is_not_there_is_named(script: Script, tmp_path: Path) -> None:
    async with client_for(script.url, credentials=config(tmp_path, credsStore="nowhere")) as client:
        with pytest.raises(AccessDenied, match="docker-credential-nowhere is not on PATH"):
            await client.has_blob(TEAM, BLOB)


async def test_a_helper_that_hangs_is_ended_with_its_children(tmp_path: Path, keychain: Helper) -> None:
    held = tmp_path / "held"
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    keychain.runs(f"( exec 3>{held}; while :; do sleep 60; done ) & wait")
    try:
        with pytest.raises(NoProof, match="no answer within"):
            await ask_helper("keychain", "registry.example.com", patience=0.5)
        os.set_blocking(reader, True)
        assert os.read(reader, 1) == b"", "nobody holds the other end"
    finally:
        os.close(reader)


async def test_what_a_helper_said_is_asked_anew_when_it_is_refused(
    script: Script, tmp_path: Path, keychain: Helper
) -> None:
    keychain.knows(script.host, "puller", "old-canary")
    script.on("HEAD", "/v2/", ASKS_BASIC, Say(404), ASKS_BASIC, Say(404), ASKS_BASIC)
    clock = FakeClock()
    async with client_for(script.url, clock=clock, credentials=config(tmp_path, credsStore="keychain")) as client:
        await client.has_blob(TEAM, BLOB)
        keychain.knows(script.host, "puller", "a-canary")
        clock.advance(6)
        await client.has_blob(TEAM, BLOB)
        old = basic("puller", "old-canary")["Authorization"]
        assert carried(script) == [None, old, old, CANARY]
        for _ in range(5):
            with pytest.raises(AccessDenied):
                await client.has_blob(TEAM, BLOB)
    assert len(keychain.asked()) == 2, "a refusal is no reason to ask for ever"
