"""The whole way through an HTTP proxy that wants a login, to registries whose names only the proxy knows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio.to_thread
import trustme
import yaml
from click.testing import CliRunner, Result

from replicator.cli.main import main
from tests.integration.site import arrival, run_site
from tests.support.canaries import leaks
from tests.support.eventually import eventually
from tests.support.forward_proxy import run_forward_proxy
from tests.support.images import make_image, push
from tests.support.registries import run_registry
from tests.support.tls_registry import run_tls_registry, write_authority

_PRIMARY = "primary.test:80"
_REPLICA = "replica.test:443"


async def _command(folder: Path, config: Mapping[str, Any], environ: Mapping[str, str], *words: str) -> Result:
    file = folder / "command.yaml"
    file.write_text(yaml.safe_dump({**config, "store": {"url": f"sqlite:///{folder / 'command' / 'store.db'}"}}))

    def run() -> Result:
        return CliRunner().invoke(main, ["-c", str(file), *words], env=environ)

    return await anyio.to_thread.run_sync(run)


async def test_an_image_goes_from_a_plain_primary_to_a_replica_with_tls(tmp_path: Path) -> None:
    """The primary's way is the environment's, the replica's is configured; a wrong password there is mended."""
    image, authority = make_image("image"), trustme.CA()
    word = tmp_path / "proxy-password"
    word.write_text("wrong-canary\n")
    async with (
        run_forward_proxy() as proxy,
        run_registry(tmp_path, name="hidden") as hidden,
        run_tls_registry(tmp_path, authority, "replica.test") as replica,
    ):
        proxy.hosts |= {_PRIMARY: hidden.host, _REPLICA: replica.secure.host}
        proxy.login = ("mirror", "proxy-canary")
        environ = {"HTTP_PROXY": proxy.url.replace("//", "//mirror:proxy-canary@"), "NO_PROXY": "replica.test"}
        eu = {
            "name": "eu",
            "url": "https://replica.test",
            "tls": {"ca_file": str(write_authority(authority, tmp_path / "ca.pem"))},
            "proxy": {"url": proxy.url, "username": "mirror", "password_file": str(word)},
        }
        sections = {"primary": {"url": "http://primary.test"}, "replicas": [eu]}
        async with run_site(tmp_path, replicas=(), sections=sections, environ=environ) as site:
            await push(hidden.url, "team/app", "v1", image)
            # The site's own primary tells of the same push.
            await push(site.primary.url, "team/app", "v1", image)
            failed = await eventually(lambda: site.daemon.events("reference_parked"), what="the proxy refuses")
            assert failed[0]["reason"] == "auth"
            assert f"through the proxy {proxy.url}: it refuses the user name and password (407)" in failed[0]["error"]
            word.write_text("proxy-canary\n")
            await arrival(replica.plain.url, "team/app", "v1", image.digest, within=30.0)
        assert set(proxy.tunnels) == {_REPLICA}
        assert proxy.plain
        assert all(one.startswith("http://primary.test/v2/") for one in proxy.plain)

        told = await _command(tmp_path, site.config, environ, "check", "--json")
        assert told.exit_code == 0, told.output
        ways = {one["name"]: one["proxy"] for one in json.loads(told.stdout)["registries"]}
        assert ways == {"primary": f"{proxy.url} (HTTP_PROXY)", "eu": f"{proxy.url} (proxy:)"}
        word.write_text("wrong-canary\n")
        told = await _command(tmp_path, site.config, environ, "check")
        assert told.exit_code == 1
        assert f"eu: through the proxy {proxy.url} (proxy:)" in told.output
        assert "eu: write the login of the proxy under proxy: as username: and password_file:" in told.output
        assert not leaks(told.output)


async def test_a_variable_that_names_no_proxy_is_told_before_anything_is_asked(tmp_path: Path) -> None:
    config = {
        "version": 1,
        "primary": {"url": "https://primary.test"},
        "replicas": [{"name": "eu", "url": "https://replica.test", "proxy": "off"}],
    }
    told = await _command(tmp_path, config, {"HTTPS_PROXY": "socks5://canary:1080"}, "check")
    assert told.exit_code == 2
    assert "HTTPS_PROXY names no HTTP proxy; write http://HOST:PORT, or proxy: off" in told.output
    assert not leaks(told.output)
