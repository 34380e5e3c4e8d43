"""The real registries that tests run behave as their options say."""

import asyncio
import http.client
import time
from pathlib import Path

import pytest

from tests.support.images import closure_of, fetch_closure, make_image, push, tag_digest
from tests.support.registries import DockerRegistry, TokenAuth, run_registry
from tests.support.web import basic


async def test_a_registry_starts_fast_and_keeps_port_and_data_over_a_restart(tmp_path: Path) -> None:
    before = time.monotonic()
    async with run_registry(tmp_path) as registry:
        assert time.monotonic() - before < 2
        image = make_image(1)
        await push(registry.url, "team/app", "v1", image)
        url = registry.url
        await registry.stop()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(_status, registry)
        await registry.start()
        assert registry.url == url
        assert (await fetch_closure(url, "team/app", "v1", deep=True)).digests == closure_of(image)
    assert not registry.root.exists()


async def test_a_paused_registry_takes_connections_and_does_not_answer(registry: DockerRegistry) -> None:
    registry.pause()
    with pytest.raises(TimeoutError):
        await asyncio.to_thread(_status, registry, timeout=0.2)
    registry.resume()
    assert await asyncio.to_thread(_status, registry, timeout=5) == 200


async def test_passwords_are_asked_for_when_users_are_given(tmp_path: Path) -> None:
    async with run_registry(tmp_path, htpasswd={"puller": "word"}) as registry:
        assert await asyncio.to_thread(_status, registry) == 401
        right = basic("puller", "word")
        await push(registry.url, "team/app", "v1", make_image(1), headers=right)
        assert await tag_digest(registry.url, "team/app", "v1", headers=right) == make_image(1).digest


async def test_a_read_only_registry_refuses_pushes_and_goes_on_reading(tmp_path: Path) -> None:
    async with run_registry(tmp_path, read_only=True) as registry:
        with pytest.raises(ExceptionGroup) as refused:
            await push(registry.url, "team/app", "v1", make_image(1))
        assert "405" in str(refused.value.exceptions[0])
        assert await asyncio.to_thread(_status, registry) == 200


async def test_foreign_layers_need_validation_off(tmp_path: Path) -> None:
    image = make_image(1, docker=True, foreign=[300])
    async with run_registry(tmp_path) as strict, run_registry(tmp_path, validation=False) as lenient:
        with pytest.raises(AssertionError, match="MANIFEST_BLOB_UNKNOWN"):
            await push(strict.url, "team/app", "v1", image)
        await push(lenient.url, "team/app", "v1", image)
        assert (await fetch_closure(lenient.url, "team/app", "v1")).digests == closure_of(image)


async def test_sha512_layers_are_taken_by_distribution_2_8(registry: DockerRegistry) -> None:
    image = make_image(1, algorithm="sha512")
    await push(registry.url, "team/app", "v1", image)
    assert (await fetch_closure(registry.url, "team/app", "v1", deep=True)).digests == closure_of(image)


async def test_the_judge_sees_damage_that_a_head_does_not_show(registry: DockerRegistry) -> None:
    image = make_image(1, [5_000])
    await push(registry.url, "team/app", "v1", image)
    file = registry.blob_file(image.layers[0].digest)
    data = bytearray(file.read_bytes())
    data[2_500] ^= 1
    file.write_bytes(data)
    await fetch_closure(registry.url, "team/app", "v1")
    with pytest.raises(AssertionError, match="the bytes hash to"):
        await fetch_closure(registry.url, "team/app", "v1", deep=True)


async def test_the_judge_names_what_is_missing(registry: DockerRegistry) -> None:
    image = make_image(1, [5_000])
    await push(registry.url, "team/app", "v1", image)
    registry.blob_file(image.layers[0].digest).unlink()
    with pytest.raises(AssertionError, match=f"blob {image.layers[0].digest}: status 404"):
        await fetch_closure(registry.url, "team/app", "v1")
    with pytest.raises(AssertionError, match="manifest v2: missing"):
        await fetch_closure(registry.url, "team/app", "v2")


def test_shared_registries_run_next_to_each_other(
    shared_primary: DockerRegistry, shared_replicas: tuple[DockerRegistry, DockerRegistry]
) -> None:
    every = {shared_primary.url, *(one.url for one in shared_replicas)}
    assert len(every) == 3
    assert all(_status(one) == 200 for one in (shared_primary, *shared_replicas))


async def test_a_registry_that_cannot_start_says_why(tmp_path: Path) -> None:
    nobody = TokenAuth(realm="http://127.0.0.1:1/", service="s", issuer="i", rootcertbundle=tmp_path / "absent.pem")
    registry = DockerRegistry(tmp_path, token_auth=nobody)
    try:
        with pytest.raises(AssertionError, match=r"did not start[^$]*absent\.pem"):
            await registry.start()
        assert not registry.running
    finally:
        registry.discard()


def _status(registry: DockerRegistry, timeout: float = 5) -> int:
    connection = http.client.HTTPConnection(registry.host, timeout=timeout)
    try:
        connection.request("GET", "/v2/")
        return connection.getresponse().status
    finally:
        connection.close()
