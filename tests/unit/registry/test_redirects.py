"""Redirects: followed by hand, without the login, never inside, never rewritten (B2, S3-S5, H4)."""

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from replicator.errors import Reason, RegistryError
from replicator.registry.resolver import AddressRefused, VettingResolver
from tests.unit.registry.scripted import (
    BLOB,
    BLOB_PATH,
    DATA,
    TAG,
    TEAM,
    UPLOADS,
    Say,
    Script,
    bearer,
    client_for,
    demand,
    error,
    manifest_answer,
    read_blob,
    say_json,
    whole_body,
)

SIGNED = "/bucket/a%2Fb?sig=a%2Fb%3D&x=%7E1&plus=+"


class NamesToLoopback(AbstractResolver):
    """Every name is this machine, whatever it says next time."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses or ("127.0.0.1",)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0)
            for one in self.addresses
        ]

    async def close(self) -> None:
        pass


def with_login(script: Script) -> None:
    script.on("GET", "/token", say_json({"token": "canary"}))


async def test_b2_h4_a_read_is_redirected_to_storage_without_login_and_with_the_url_as_signed(
    script: Script, elsewhere: Script
) -> None:
    with_login(script)
    script.on("GET", "/v2/", demand("canary", Say(307, {"Location": elsewhere.url + SIGNED}), bearer("/token")))
    elsewhere.on("GET", "/bucket", Say(200, {}, DATA))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        assert await read_blob(client) == DATA
    (seen,) = elsewhere.seen
    assert seen.target == SIGNED
    assert seen.authorization is None
    assert "Cookie" not in seen.headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_b1_b2_every_kind_of_redirect_is_followed_for_reads(
    script: Script, elsewhere: Script, status: int
) -> None:
    script.on("HEAD", "/v2/", Say(status, {"Location": f"{elsewhere.url}/blob"}))
    elsewhere.on("HEAD", "/blob", Say(200, {"Content-Length": str(BLOB.size)}))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        assert await client.has_blob(TEAM, BLOB)


async def test_b5_the_range_travels_along(script: Script, elsewhere: Script) -> None:
    script.on("GET", "/v2/", Say(307, {"Location": f"{elsewhere.url}/blob"}))
    total = len(DATA)
    elsewhere.on("GET", "/blob", Say(206, {"Content-Range": f"bytes 1000-{total - 1}/{total}"}, DATA[1000:]))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        assert await read_blob(client, offset=1000) == DATA[1000:]
    assert elsewhere.seen[0].headers["Range"] == f"bytes=1000-{total - 1}"


async def test_s5_the_login_does_not_come_back_on_a_path_that_another_host_chose(
    script: Script, elsewhere: Script
) -> None:
    with_login(script)
    script.on("GET", "/v2/", demand("canary", Say(307, {"Location": f"{elsewhere.url}/x"}), bearer("/token")))
    elsewhere.on("GET", "/x", Say(307, {"Location": f"{script.url}/chosen/by/the/attacker"}))
    script.on("GET", "/chosen", Say(200, {}, DATA))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        assert await read_blob(client) == DATA
    assert [seen.authorization for seen in script.asked("GET", "/chosen")] == [None]
    assert [seen.authorization for seen in elsewhere.seen] == [None]


async def test_a_redirect_within_the_registry_keeps_the_login(script: Script) -> None:
    with_login(script)
    script.on("GET", BLOB_PATH, demand("canary", Say(308, {"Location": "/v2/moved"}), bearer("/token")))
    script.on("GET", "/v2/moved", demand("canary", Say(200, {}, DATA), Say(404)))
    async with client_for(script.url) as client:
        assert await read_blob(client) == DATA


async def test_b2_a_presigned_url_on_the_registrys_own_host_gets_no_login(script: Script) -> None:
    with_login(script)
    script.on("GET", "/v2/", demand("canary", Say(307, {"Location": "/s3?X-Amz-Signature=x"}), bearer("/token")))
    script.on("GET", "/s3", Say(200, {}, DATA))
    async with client_for(script.url) as client:
        assert await read_blob(client) == DATA
    assert [seen.authorization for seen in script.asked("GET", "/s3")] == [None]


async def test_b2_five_hops_are_followed_and_a_sixth_is_not(script: Script) -> None:
    for hop in range(7):
        script.on("GET", f"/hop{hop}$", Say(302, {"Location": f"/hop{hop + 1}"}))
    script.on("GET", "/v2/", Say(302, {"Location": "/hop3"}))
    script.on("GET", "/hop7$", Say(200, {}, DATA))
    async with client_for(script.url) as client:
        assert await read_blob(client) == DATA
        script.on("GET", "/v2/", Say(302, {"Location": "/hop2"}))
        with pytest.raises(RegistryError, match="more than 5"):
            await read_blob(client)


async def test_b2_a_link_to_storage_that_has_run_out_is_fetched_anew_once(script: Script, elsewhere: Script) -> None:
    script.on(
        "GET", "/v2/", Say(307, {"Location": f"{elsewhere.url}/old"}), Say(307, {"Location": f"{elsewhere.url}/n"})
    )
    elsewhere.on("GET", "/old", Say(403))
    elsewhere.on("GET", "/n", Say(200, {}, DATA))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        assert await read_blob(client) == DATA
        elsewhere.on("GET", "/n", Say(403))
        with pytest.raises(RegistryError) as caught:
            await read_blob(client)
    assert caught.value.status == 403


@pytest.mark.parametrize(
    "location", ["", "http://user@evil/", "ftp://evil/", "http://evil\\x/", "javascript:alert(1)"]
)
async def test_s4_a_redirect_to_nonsense_is_refused(script: Script, location: str) -> None:
    script.on("GET", "/v2/", Say(307, {"Location": location}))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError) as caught:
            await read_blob(client)
    assert not caught.value.temporary


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
async def test_a_redirect_to_a_name_that_can_be_none_is_an_error_of_the_registry(script: Script, host: str) -> None:
    """Python's resolver fails at them with errors of its own, which no one down the way knows."""
    script.on("GET", "/v2/", Say(302, {"Location": f"http://{host}/x"}))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError, match="name") as caught:
            await client.read_manifest(TEAM, TAG)
    assert not caught.value.temporary


async def test_a_redirect_without_location_is_an_error(script: Script) -> None:
    script.on("GET", "/v2/", Say(307))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError):
            await read_blob(client)


async def test_writes_are_not_redirected(script: Script, elsewhere: Script) -> None:
    script.on("POST", "/v2/", Say(307, {"Location": f"{elsewhere.url}/up"}))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        with pytest.raises(RegistryError):
            await client.start_upload(TEAM)
    assert not elsewhere.seen


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "127.1", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0", "localhost"]
)
async def test_s3_a_redirect_inside_is_refused_in_every_spelling(
    script: Script, elsewhere: Script, host: str
) -> None:
    port = elsewhere.url.rpartition(":")[2]
    script.on("GET", "/v2/", Say(307, {"Location": f"http://{host}:{port}/secret"}))
    elsewhere.on("GET", "/secret", Say(200, {}, DATA))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError) as caught:
            await read_blob(client)
    assert not caught.value.temporary
    assert not elsewhere.seen


async def test_s3_a_name_that_resolves_inside_is_refused(script: Script, elsewhere: Script) -> None:
    port = elsewhere.url.rpartition(":")[2]
    script.on("GET", "/v2/", Say(307, {"Location": f"http://storage.example.com:{port}/secret"}))
    async with client_for(script.url, resolver=NamesToLoopback()) as client:
        with pytest.raises(RegistryError, match="redirect_allow") as caught:
            await read_blob(client)
    assert caught.value.reason == Reason.UNSUPPORTED
    assert not elsewhere.seen


async def test_s3_a_name_that_the_operator_allowed_may_resolve_inside(script: Script, elsewhere: Script) -> None:
    port = elsewhere.url.rpartition(":")[2]
    script.on("GET", "/v2/", Say(307, {"Location": f"http://storage.example.com:{port}/blob"}))
    elsewhere.on("GET", "/blob", Say(200, {}, DATA))
    allow = (f"storage.example.com:{port}",)
    async with client_for(script.url, resolver=NamesToLoopback(), redirect_allow=allow) as client:
        assert await read_blob(client) == DATA


async def test_s3_of_mixed_answers_only_the_public_ones_are_used() -> None:
    inner = NamesToLoopback("10.0.0.1", "8.8.8.8", "169.254.169.254", "::ffff:127.0.0.1")
    vetting = VettingResolver(inner, lambda host, port: (host, port) == ("own.example.com", 443), seconds=5)
    assert [one["host"] for one in await vetting.resolve("evil.example.com", 443)] == ["8.8.8.8"]
    assert len(await vetting.resolve("own.example.com", 443)) == 4
    inner.addresses = ("10.0.0.1",)
    with pytest.raises(AddressRefused):
        await vetting.resolve("evil.example.com", 443)


async def test_s3_the_address_that_was_vetted_is_the_one_connected_to(script: Script, elsewhere: Script) -> None:
    """A second lookup that answers otherwise (DNS rebinding) is vetted too."""
    port = elsewhere.url.rpartition(":")[2]
    script.on("GET", "/v2/", Say(307, {"Location": f"http://flip.example.com:{port}/secret"}))
    flipping = NamesToLoopback("192.0.2.1")
    async with client_for(script.url, resolver=flipping) as client:
        for address in ("192.168.0.1", "127.0.0.1", "fe80::1"):
            flipping.addresses = (address,)
            with pytest.raises(RegistryError, match="private"):
                await read_blob(client)
    assert not elsewhere.seen


async def test_s3_an_upload_location_inside_is_refused(script: Script, elsewhere: Script) -> None:
    script.on("POST", UPLOADS, Say(202, {"Location": f"{elsewhere.url}/up"}))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError):
            await client.send_blob(TEAM, BLOB, whole_body)
    assert not elsewhere.seen


async def test_s4_an_upload_to_another_origin_carries_no_login(script: Script, elsewhere: Script) -> None:
    with_login(script)
    up = Say(202, {"Location": f"{elsewhere.url}/up?_state=a%2Fb"})
    script.on("POST", UPLOADS, demand("canary", up, bearer("/token")))
    elsewhere.on("PUT", "/up", Say(201))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        await client.send_blob(TEAM, BLOB, whole_body)
    (seen,) = elsewhere.seen
    assert seen.authorization is None
    assert seen.target.startswith("/up?_state=a%2Fb&digest=sha256%3A")
    assert seen.body == DATA


async def test_s4_a_challenge_from_another_origin_is_not_answered(script: Script, elsewhere: Script) -> None:
    with_login(script)
    script.on("GET", "/v2/", demand("canary", Say(307, {"Location": f"{elsewhere.url}/x"}), bearer("/token")))
    elsewhere.on("GET", "/x", bearer(f"{elsewhere.url}/token"))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        with pytest.raises(RegistryError):
            await read_blob(client)
    assert [seen.target for seen in elsewhere.seen] == ["/x"]


async def test_s4_the_next_page_of_a_list_is_never_fetched_elsewhere(script: Script, elsewhere: Script) -> None:
    script.on("GET", "/v2/_catalog", say_json({"repositories": []}, Link=f'<{elsewhere.url}/more>; rel="next"'))
    async with client_for(script.url, redirect_allow=(elsewhere.host,)) as client:
        with pytest.raises(RegistryError):
            _ = [one async for one in client.repositories()]
    assert not elsewhere.seen


async def test_cookies_are_neither_kept_nor_sent(script: Script) -> None:
    body = b'{"a":1}'
    script.on("GET", "/v2/", manifest_answer(body, **{"Set-Cookie": "session=canary; Path=/"}))
    async with client_for(script.url) as client:
        await client.read_manifest(TEAM, TAG)
        await client.read_manifest(TEAM, TAG)
    assert all("Cookie" not in seen.headers for seen in script.seen)


async def test_proxies_of_the_environment_are_not_used(
    script: Script, elsewhere: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, elsewhere.url)
    script.on("GET", "/v2/", error(404, "MANIFEST_UNKNOWN"))
    async with client_for(script.url) as client:
        with pytest.raises(RegistryError):
            await client.read_manifest(TEAM, TAG)
    assert script.seen
    assert not elsewhere.seen
