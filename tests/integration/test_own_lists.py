"""Digests that registries tell in lists of their own: how few requests a comparison of all digests then takes."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from replicator.model import Digest, Repository, Tag
from replicator.registry.capabilities import DigestList
from tests.integration.sweep_scene import Compared, comparing
from tests.support.acr import Acr, run_acr
from tests.support.aws import REGION, Aws, environ_of, run_aws
from tests.support.distribution_files import write_tags
from tests.support.harbor import Harbor, run_harbor
from tests.support.images import make_image, push
from tests.support.quay import OAUTH, Quay, run_quay
from tests.support.token_server import User

TEAM = Repository("team/sub/app")
IMAGE = make_image("image")
VARIANTS = {
    Tag(f"v{number:03}"): json.dumps({**json.loads(IMAGE.body), "annotations": {"n": str(number)}}).encode()
    for number in range(300)
}
MOVED = Tag("v007")
USERS = {
    "mirror": User(password="mirror-canary", access={"*": ("pull", "push", "metadata_read", "list")}),
    OAUTH: User(password="oauth-canary"),
    "poor": User(password="poor-canary", access={"*": ("pull",)}),
}
Front = Acr | Harbor | Aws | Quay
LISTED = ("GET", f"/v2/{TEAM}/tags/list")


def rights(front: Front) -> dict[str, str]:
    return {} if isinstance(front, Aws) else front.tokens.headers("mirror", TEAM)


async def fill(front: Front, one: Compared, count: int = len(VARIANTS)) -> None:
    """Put so many tags of as many images, of which the store knows that the replica has them."""
    await push(front.upstream, TEAM, None, IMAGE, headers=rights(front))
    tagged: dict[str, bytes] = dict(list(VARIANTS.items())[:count])
    write_tags(front.root, TEAM, tagged)
    await one.knows({Tag(tag): Digest.of(body) for tag, body in tagged.items()})


@pytest.fixture
async def acr(tmp_path: Path) -> AsyncIterator[Acr]:
    """Run a registry of Azure's."""
    async with run_acr(tmp_path, USERS) as running:
        yield running


@pytest.fixture
async def harbor(tmp_path: Path) -> AsyncIterator[Harbor]:
    """Run a Harbor."""
    async with run_harbor(tmp_path, USERS) as running:
        yield running


@pytest.fixture
async def quay(tmp_path: Path) -> AsyncIterator[Quay]:
    """Run a Quay."""
    async with run_quay(tmp_path, USERS) as running:
        yield running


@pytest.fixture
async def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    """Run AWS with the repository, and an identity in the environment."""
    async with run_aws(tmp_path) as running:
        for name, value in environ_of(running, tmp_path).items():
            monkeypatch.setenv(name, value)
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        running.repositories[TEAM] = {}
        yield running


def primary(front: Acr | Harbor | Quay, folder: Path, user: str = "mirror") -> dict[str, object]:
    file = folder / f"{user}-password"
    file.write_text(USERS[user].password)
    return {"url": front.url, "credentials": {"username": user, "password_file": str(file)}}


async def compared(one: Compared, front: Front) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Compare, and return what differs and what the registry was asked for."""
    front.asked.clear()
    found = await one.differences()
    return found, [(method, path.partition("?")[0]) for method, path in front.asked]


async def test_azure_tells_the_digests_of_300_tags_in_one_answer(acr: Acr, tmp_path: Path) -> None:
    own, linked = ("GET", f"/acr/v1/{TEAM}/_tags"), ("GET", "/acr/v1/team%2Fsub%2Fapp/_tags")
    async with comparing(tmp_path, primary(acr, tmp_path), TEAM) as one:
        await fill(acr, one)
        found, asked = await compared(one, acr)
        assert (found, [method for method, _ in asked].count("HEAD")) == ({}, 1), "it is proven by one tag"
        assert one.client.capabilities.holds(DigestList.ACR) is True
        assert await compared(one, acr) == ({}, [LISTED, own])
        write_tags(acr.root, TEAM, {MOVED: IMAGE.body})
        acr.most = 100
        assert await compared(one, acr) == ({MOVED: "stale"}, [LISTED, own, linked, linked]), (
            "pages as they are linked"
        )


async def test_azures_list_needs_a_right_of_its_own_without_which_each_tag_is_asked(acr: Acr, tmp_path: Path) -> None:
    async with comparing(tmp_path, primary(acr, tmp_path, "poor"), TEAM) as one:
        await fill(acr, one, 10)
        write_tags(acr.root, TEAM, {MOVED: IMAGE.body})
        found, asked = await compared(one, acr)
        assert found == {MOVED: "stale"}
        assert [method for method, _ in asked].count("HEAD") >= 10
        scopes = {f"repository:{TEAM}:pull", f"repository:{TEAM}:metadata_read"}
        assert {grant["scope"] for grant in acr.grants} == scopes
        assert one.client.capabilities.holds(DigestList.ACR) is False


async def test_harbor_tells_the_digests_of_300_tags_in_three_answers(harbor: Harbor, tmp_path: Path) -> None:
    own = ("GET", "/api/v2.0/projects/team/repositories/sub%252Fapp/artifacts")
    async with comparing(tmp_path, primary(harbor, tmp_path), TEAM) as one:
        await fill(harbor, one)
        found, asked = await compared(one, harbor)
        assert (found, [method for method, _ in asked].count("HEAD")) == ({}, 1), "it is proven by one tag"
        assert one.client.capabilities.holds(DigestList.HARBOR) is True
        assert await compared(one, harbor) == ({}, [LISTED, own, own, own])
        write_tags(harbor.root, TEAM, {MOVED: IMAGE.body})
        assert await compared(one, harbor) == ({MOVED: "stale"}, [LISTED, own, own, own])


async def test_harbors_list_needs_a_right_of_its_own_without_which_each_tag_is_asked(
    harbor: Harbor, tmp_path: Path
) -> None:
    async with comparing(tmp_path, primary(harbor, tmp_path, "poor"), TEAM) as one:
        await fill(harbor, one, 10)
        found, asked = await compared(one, harbor)
        assert found == {}
        assert [method for method, _ in asked].count("HEAD") == 10
        assert one.client.capabilities.holds(DigestList.HARBOR) is False


async def test_aws_tells_the_digests_of_300_tags_in_one_answer(aws: Aws, tmp_path: Path) -> None:
    section = {"url": aws.url, "credentials": {"aws": {"region": REGION}}}
    async with comparing(tmp_path, section, TEAM) as one:
        await fill(aws, one)
        found, asked = await compared(one, aws)
        assert (found, [method for method, _ in asked].count("HEAD")) == ({}, 1), "it is proven by one tag"
        assert one.client.capabilities.holds(DigestList.ECR) is True
        aws.calls.clear()
        assert (await compared(one, aws), aws.calls) == (({}, [LISTED]), ["ListImages"])
        write_tags(aws.root, TEAM, {MOVED: IMAGE.body})
        aws.most = 100
        aws.calls.clear()
        assert (await compared(one, aws), aws.calls) == (({MOVED: "stale"}, [LISTED]), ["ListImages"] * 3)


async def test_without_the_right_to_list_images_each_tag_is_asked(aws: Aws, tmp_path: Path) -> None:
    aws.may_list = False
    section = {"url": aws.url, "credentials": {"aws": {"region": REGION}}}
    async with comparing(tmp_path, section, TEAM) as one:
        await fill(aws, one, 10)
        for _ in range(2):
            found, asked = await compared(one, aws)
            assert (found, [method for method, _ in asked].count("HEAD")) == ({}, 10)
        assert aws.calls.count("ListImages") == 1, "it is left alone for an hour"
        assert one.client.capabilities.holds(DigestList.ECR) is False


async def test_quay_tells_the_digests_of_300_tags_in_three_answers(quay: Quay, tmp_path: Path) -> None:
    own = ("GET", f"/api/v1/repository/{TEAM}/tag/")
    async with comparing(tmp_path, primary(quay, tmp_path, OAUTH), TEAM) as one:
        await fill(quay, one)
        found, asked = await compared(one, quay)
        assert (found, [method for method, _ in asked].count("HEAD")) == ({}, 1), "it is proven by one tag"
        assert one.client.capabilities.holds(DigestList.QUAY) is True
        write_tags(quay.root, TEAM, {MOVED: IMAGE.body})
        assert await compared(one, quay) == ({MOVED: "stale"}, [LISTED, own, own, own])


async def test_a_robot_of_quay_asks_for_each_tag(quay: Quay, tmp_path: Path) -> None:
    async with comparing(tmp_path, primary(quay, tmp_path), TEAM) as one:
        await fill(quay, one, 10)
        found, asked = await compared(one, quay)
        assert (found, len(asked)) == ({}, 11 + 1), "a list, which is asked for anew with a login, and each tag"
        assert not [path for _, path in asked if path.startswith("/api")], "its API would not take the robot"
