"""The daemon with a subscription: what is published arrives on the replica, over reloads, kills and a dead server."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.integration.nats_site import SUBJECT
from tests.integration.site import Site, run_site
from tests.support.eventually import eventually
from tests.support.images import make_image, push
from tests.support.nats import NatsServer, keep, publisher, run_nats
from tests.support.webhook_samples import samples

CONNECTED = "replicator_subscription_connected"


def event(repository: str, tag: str, digest: object) -> bytes:
    """Return what zot publishes when a tag was pushed."""
    told = json.loads(samples()["zot-nats-image-updated"].body)
    told["data"] |= {"name": repository, "reference": tag, "digest": str(digest)}
    return json.dumps(told).encode()


async def pushed(site: Site, server: NatsServer, tag: str) -> Any:
    """Push an image to the primary, which tells nobody, and publish what zot would."""
    image = make_image(tag)
    await push(site.primary.url, "team/app", tag, image)
    async with publisher(server) as zot:
        await zot.publish(SUBJECT, event("team/app", tag, image.digest))
        await zot.flush()
    return image


async def test_what_is_published_arrives_also_what_was_published_while_the_daemon_was_dead(tmp_path: Path) -> None:
    async with run_nats(tmp_path, jetstream=True) as server:
        async with publisher(server) as zot:
            await keep(zot, SUBJECT)
        hooks = {
            "listen": "127.0.0.1:0",
            "subscriptions": [{"name": "zot", "url": server.url, "subject": SUBJECT}],
        }
        async with run_site(tmp_path, replicas=("eu",), notifies=False, sections={"webhooks": hooks}) as site:
            daemon = site.daemon
            await site.arrived("team/app", "first", (await pushed(site, server, "first")).digest)
            daemon.kill9()
            meanwhile = await pushed(site, server, "meanwhile")
            await daemon.start()
            await site.arrived("team/app", "meanwhile", meanwhile.digest)
            # A reload that leaves the subscription as it is leaves its connection alone, one without it ends it.
            daemon.write_config(deepcopy(site.config) | {"objective": {"lag": "5m"}})
            assert (await daemon.reload())["event"] == "config_reloaded"
            assert daemon.metric(CONNECTED, endpoint="zot") == 1
            assert len(daemon.events("subscription_opened")) == 2, "one in each life"
            daemon.write_config(deepcopy(site.config) | {"webhooks": {"listen": "127.0.0.1:0"}})
            await daemon.reload()
            assert b'endpoint="zot"' not in daemon.get("/metrics")
            daemon.write_config(site.config)
            await daemon.reload()
            await eventually(lambda: daemon.metric(CONNECTED, endpoint="zot") == 1, what="it is there again")
            await site.arrived("team/app", "last", (await pushed(site, server, "last")).digest)
            await server.stop()
            await eventually(lambda: daemon.metric(CONNECTED, endpoint="zot") == 0, what="the server is gone")
            assert json.loads(daemon.get("/readyz")), "a dead server concerns nobody else"
            assert await daemon.terminate() == 0
