"""What `copy` prints: its answer on one stream, what it has to warn of on the other."""

import json
from pathlib import Path

from tests.integration.commands import command
from tests.integration.site import run_site
from tests.support.content import make_image
from tests.support.faults import Answer
from tests.support.images import push

POLICY = b'{"errors": [{"code": "PROJECTPOLICYVIOLATION", "message": "vulnerable"}]}'


async def test_a_warning_does_not_get_into_the_json(tmp_path: Path) -> None:
    image = make_image("vulnerable")
    async with run_site(tmp_path, replicas=("eu",), running=False, notifies=False, proxied=["eu"]) as site:
        await push(site.primary.url, "team/app", "v1", image)
        for method in ("HEAD", "GET"):
            site.lines["eu"].add(Answer(method=method, path="/manifests/v1", times=None, status=412, body=POLICY))
        result = await command(site, "copy", "team/app:v1", "--json")
        assert result.exit_code == 0, result.output
        (copy,) = json.loads(result.stdout)["copies"]
        assert copy["result"] == "copied"
        assert "manifest_withheld" in result.stderr
