"""What the registry client promises holds on real registries: Distribution 2.8 (open, behind a token server, behind
Basic), Distribution 3, an OCI 1.1 registry, and one that takes any manifest.
"""  # noqa: D205 -- one sentence

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from replicator.clock import SystemClock
from replicator.errors import ContentError, ManifestBlobUnknown, ManifestNotTaken, NotFound, Reason, RegistryError
from replicator.model import (
    Descriptor,
    Digest,
    RawManifest,
    Reference,
    Repository,
    Tag,
    parse_reference,
    parse_repository,
)
from replicator.registry.capabilities import Capability
from replicator.registry.client import RegistryClient, open_registry
from replicator.settings.credentials import Credentials
from replicator.settings.registries import CapabilitiesSettings, ReplicaSettings
from replicator.settings.secrets import Secret
from tests.support.content import Blob, Content, make_blob, make_image, make_index
from tests.support.permissive import run_permissive
from tests.support.registries import run_distribution3, run_oci_registry, run_registry
from tests.support.token_server import User, run_auth_registry

USERS = {"mirror": User(password="secret-canary", access={"*": ("pull", "push", "delete"), "catalog": ()})}
LOGIN = Credentials(username="mirror", password_file=Secret.of_text("secret-canary"))
MIB = 1024 * 1024
TAG = Tag("v1")


@contextlib.asynccontextmanager
async def distribution(folder: Path) -> AsyncIterator[ReplicaSettings]:
    async with run_registry(folder) as registry:
        yield ReplicaSettings(name="replica", url=registry.url)


@contextlib.asynccontextmanager
async def distribution_with_tokens(folder: Path) -> AsyncIterator[ReplicaSettings]:
    async with run_auth_registry(folder, USERS) as guarded:
        realm = guarded.tokens.url.removeprefix("http://")
        yield ReplicaSettings(name="replica", url=guarded.registry.url, credentials=LOGIN, realm_allow=(realm,))


@contextlib.asynccontextmanager
async def distribution_with_basic(folder: Path) -> AsyncIterator[ReplicaSettings]:
    async with run_registry(folder, htpasswd={"mirror": "secret-canary"}) as registry:
        yield ReplicaSettings(name="replica", url=registry.url, credentials=LOGIN)


@contextlib.asynccontextmanager
async def distribution3(folder: Path) -> AsyncIterator[ReplicaSettings]:
    async with run_distribution3(folder) as registry:
        yield ReplicaSettings(name="replica", url=registry.url)


@contextlib.asynccontextmanager
async def distribution3_with_tokens(folder: Path) -> AsyncIterator[ReplicaSettings]:
    async with run_auth_registry(folder, USERS, run=run_distribution3) as guarded:
        realm = guarded.tokens.url.removeprefix("http://")
        yield ReplicaSettings(name="replica", url=guarded.registry.url, credentials=LOGIN, realm_allow=(realm,))


@contextlib.asynccontextmanager
async def oci(folder: Path) -> AsyncIterator[ReplicaSettings]:
    """Its blobs belong to all repositories at once, it mounts nothing, and it looks for an index's children only."""
    async with run_oci_registry(folder) as registry:
        yield ReplicaSettings(name="replica", url=registry.url)


@contextlib.asynccontextmanager
async def permissive_registry(_: Path) -> AsyncIterator[ReplicaSettings]:
    async with run_permissive() as registry:
        yield ReplicaSettings(name="replica", url=registry.url)


Runner = Callable[[Path], contextlib.AbstractAsyncContextManager[ReplicaSettings]]


@pytest.fixture(
    params=[
        distribution,
        distribution_with_tokens,
        distribution_with_basic,
        distribution3,
        oci,
        permissive_registry,
    ],
    ids=lambda runner: runner.__name__,
)
async def settings(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ReplicaSettings]:
    runner: Runner = request.param
    async with runner(tmp_path) as found:
        yield found


@pytest.fixture
async def client(settings: ReplicaSettings) -> AsyncIterator[RegistryClient]:
    async with open_registry(settings, clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
def team() -> Repository:
    return parse_repository("team/app")


def described(blob: Blob) -> Descriptor:
    return Descriptor(blob.media_type, blob.digest, blob.size)


def raw(content: Content) -> RawManifest:
    return RawManifest(content.media_type, content.digest, content.body)


async def send(client: RegistryClient, repository: Repository, blob: Blob) -> None:
    async def body() -> AsyncIterator[bytes]:
        for chunk in blob.chunks():
            yield chunk

    await client.send_blob(repository, described(blob), body)


async def push(client: RegistryClient, repository: Repository, content: Content, reference: Reference) -> None:
    for blob in content.blobs():
        await send(client, repository, blob)
    for manifest in content.manifests():
        top = manifest.digest == content.digest
        await client.write_manifest(repository, reference if top else manifest.digest, raw(manifest))


async def once(blob: Blob) -> AsyncIterator[bytes]:
    yield blob.read()


def kind_of(request: pytest.FixtureRequest) -> Runner:
    """Return which of the registries a test runs over."""
    runner: Runner = request.node.callspec.params["settings"]
    return runner


async def read(client: RegistryClient, repository: Repository, blob: Blob, offset: int = 0) -> bytes:
    async with client.open_blob(repository, described(blob), offset) as reader:
        return b"".join([chunk async for chunk in reader.chunks()])


async def test_ping_says_that_a_registry_answers(client: RegistryClient) -> None:
    await client.ping()


@pytest.mark.parametrize("size", [0, 1, 2, 65_536, 65_537, 3 * MIB + 7])
async def test_a_blob_that_was_sent_is_there_and_reads_back(
    client: RegistryClient, team: Repository, size: int
) -> None:
    blob = make_blob(f"contract/{size}", size)
    assert not await client.has_blob(team, described(blob))
    await send(client, team, blob)
    assert await client.has_blob(team, described(blob))
    assert await read(client, team, blob) == blob.read()
    for offset in {0, size // 2, max(0, size - 1), size}:
        assert await read(client, team, blob, offset) == blob.read()[offset:]


async def test_sending_a_blob_again_is_no_error(client: RegistryClient, team: Repository) -> None:
    blob = make_blob("twice", 100_000)
    await send(client, team, blob)
    await send(client, team, blob)
    assert await client.has_blob(team, described(blob))


async def test_an_upload_that_was_opened_before_is_used(client: RegistryClient, team: Repository) -> None:
    session = await client.start_upload(team)
    blob = make_blob("opened", 70_000)

    async def body() -> AsyncIterator[bytes]:
        yield blob.read()

    await client.send_blob(team, described(blob), body, session)
    assert await client.has_blob(team, described(blob))


async def test_an_upload_that_was_cancelled_is_no_error(client: RegistryClient, team: Repository) -> None:
    session = await client.start_upload(team)
    await client.cancel_upload(session)
    await client.cancel_upload(session)


async def test_a_mounted_blob_is_there_without_being_sent(
    client: RegistryClient, team: Repository, request: pytest.FixtureRequest
) -> None:
    """Where nothing is mounted, that is said by a session to send the blob in."""
    blob = make_blob("mounted", 100_000)
    await send(client, team, blob)
    other = parse_repository("team/other")
    session = await client.mount_blob(other, described(blob), team)
    assert (session is None) is (kind_of(request) is not oci)
    if session is not None:
        await client.send_blob(other, described(blob), lambda: once(blob), session)
    assert await client.has_blob(other, described(blob))
    assert await read(client, other, blob) == blob.read()


async def test_a_mount_of_what_is_not_there_gives_a_session_to_send_it_in(
    client: RegistryClient, team: Repository
) -> None:
    blob = make_blob("not there", 100_000)
    await send(client, team, make_blob("something else", 10))
    other = parse_repository("team/other")
    session = await client.mount_blob(other, described(blob), team)
    assert session is not None

    async def body() -> AsyncIterator[bytes]:
        yield blob.read()

    await client.send_blob(other, described(blob), body, session)
    assert await client.has_blob(other, described(blob))


@pytest.mark.parametrize("docker", [False, True], ids=["oci", "docker"])
async def test_manifests_come_back_byte_for_byte(client: RegistryClient, team: Repository, docker: bool) -> None:
    index = make_index([make_image(f"{docker}/{n}", [10, 20], docker=docker) for n in range(2)], docker=docker)
    await push(client, team, index, TAG)
    for manifest in index.manifests():
        assert await client.read_manifest(team, manifest.digest) == raw(manifest)
        expected = Descriptor(manifest.media_type, manifest.digest, len(manifest.body))
        assert await client.stat_manifest(team, manifest.digest) == expected
    found = await client.read_manifest(team, TAG)
    assert found == raw(index)
    assert found.body == index.body
    assert await client.stat_manifest(team, TAG) == Descriptor(index.media_type, index.digest, len(index.body))


async def test_a_tag_can_be_moved(client: RegistryClient, team: Repository) -> None:
    first, second = make_image("first"), make_image("second")
    await push(client, team, first, TAG)
    await push(client, team, second, TAG)
    stat = await client.stat_manifest(team, TAG)
    assert stat is not None
    assert stat.digest == second.digest


async def test_what_does_not_exist_is_said_to_be_absent(client: RegistryClient, team: Repository) -> None:
    nowhere = parse_repository("no/where")
    await push(client, team, make_image("exists"), TAG)
    for repository in (team, nowhere):
        for reference in ("v2", str(Digest.of(b"absent"))):
            assert await client.stat_manifest(repository, parse_reference(reference)) is None
            with pytest.raises(NotFound):
                await client.read_manifest(repository, parse_reference(reference))
        assert not await client.has_blob(repository, described(make_blob("absent", 10)))
        with pytest.raises(NotFound):
            await read(client, repository, make_blob("absent", 10))


async def test_a_blob_of_another_size_is_a_content_error(client: RegistryClient, team: Repository) -> None:
    blob = make_blob("sized", 1_000)
    await send(client, team, blob)
    wrong = Descriptor(blob.media_type, blob.digest, 999)
    with pytest.raises(ContentError, match="1000 bytes"):
        await client.has_blob(team, wrong)
    with pytest.raises(ContentError, match="1000 bytes"):
        async with client.open_blob(team, wrong):
            pass


async def test_bytes_that_are_not_the_digest_are_refused_and_may_be_sent_again(
    client: RegistryClient, team: Repository
) -> None:
    blob = make_blob("damaged on the way", 100_000)

    async def body() -> AsyncIterator[bytes]:
        yield bytes(blob.size)

    with pytest.raises(RegistryError) as caught:
        await client.send_blob(team, described(blob), body)
    assert caught.value.temporary
    assert not await client.has_blob(team, described(blob))
    await send(client, team, blob)
    assert await client.has_blob(team, described(blob))


class SourceBroke(Exception):
    """Raised by a body."""


@pytest.mark.parametrize("size", [100, 2 * MIB])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
async def test_h2_what_the_body_raises_comes_out_and_nothing_is_published(
    client: RegistryClient, team: Repository, size: int, share: float
) -> None:
    blob = make_blob(f"broken/{size}", size)
    error = SourceBroke("in the middle")

    async def body() -> AsyncIterator[bytes]:
        yield blob.read()[: int(size * share)]
        raise error

    with pytest.raises(SourceBroke) as caught:
        await client.send_blob(team, described(blob), body)
    assert caught.value is error
    if share < 1:
        assert not await client.has_blob(team, described(blob))


@pytest.mark.parametrize("size", [100, 2 * MIB])
@pytest.mark.parametrize("difference", [-1, 1])
async def test_h2_a_body_of_another_length_never_succeeds(
    client: RegistryClient, team: Repository, size: int, difference: int
) -> None:
    blob = make_blob(f"length/{size}", size + difference)
    promised = Descriptor(blob.media_type, blob.digest, size)

    async def body() -> AsyncIterator[bytes]:
        for chunk in blob.chunks():
            yield chunk

    with pytest.raises(ContentError):
        await client.send_blob(team, promised, body)
    assert not await client.has_blob(team, described(blob))


async def test_sha512_is_hashed_by_the_digests_own_algorithm(
    client: RegistryClient, team: Repository, request: pytest.FixtureRequest
) -> None:
    """A registry that answers 201 and cannot find the blob again is found out."""
    blob = make_blob("sha512", 1_000, algorithm="sha512")
    if kind_of(request) is oci:
        for _ in range(2):
            with pytest.raises(RegistryError, match="does not keep them") as caught:
                await send(client, team, blob)
            assert (caught.value.reason, caught.value.temporary) == (Reason.UNSUPPORTED, False)
        assert not await client.has_blob(team, described(blob))
    else:
        await send(client, team, blob)
        assert await read(client, team, blob) == blob.read()


async def test_tags_and_repositories_are_listed(client: RegistryClient, team: Repository) -> None:
    image = make_image("listed", [5])
    names = [Tag(f"v{n}") for n in range(25)]
    await push(client, team, image, names[0])
    await asyncio.gather(*(client.write_manifest(team, name, raw(image)) for name in names[1:]))
    assert sorted([tag async for tag in client.tags(team)]) == sorted(names)
    assert team in [repository async for repository in client.repositories()]
    with pytest.raises(NotFound):
        assert not [tag async for tag in client.tags(parse_repository("no/where"))]


@pytest.mark.parametrize("count", [3, 4, 5, 6])
async def test_lists_are_whole_whatever_the_size_of_a_page(
    client: RegistryClient, settings: ReplicaSettings, count: int
) -> None:
    """Also where a registry cuts at that size without a link to more."""
    image = make_image("paged", [5])
    names = sorted(Tag(f"v{n}") for n in range(count))
    repositories = {parse_repository(f"paged/{n}") for n in range(count)}
    for repository in repositories:
        await push(client, repository, image, names[0])
    team = min(repositories)
    for name in names:
        await client.write_manifest(team, name, raw(image))
    small = settings.model_copy(update={"capabilities": CapabilitiesSettings(page_size=2)})
    async with open_registry(small, clock=SystemClock()) as paged:
        assert sorted([tag async for tag in paged.tags(team)]) == names
        found = [one async for one in paged.repositories()]
        assert len(found) == len(set(found))
        assert repositories <= set(found)


async def test_many_at_once_work(client: RegistryClient) -> None:
    """More at a time than there are connections, each in a repository of its own."""

    async def one(number: int) -> None:
        image = make_image(f"many/{number}", [100, 80_000])
        repository = parse_repository(f"many/r{number}")
        await push(client, repository, image, TAG)
        assert (await client.read_manifest(repository, TAG)).digest == image.digest

    await asyncio.gather(*(one(number) for number in range(40)))


async def test_a_cancelled_upload_leaves_a_client_that_works(client: RegistryClient, team: Repository) -> None:
    blob = make_blob("cancelled", 2 * MIB)
    begun = asyncio.Event()
    closed = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        try:
            yield blob.read()[:MIB]
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    task = asyncio.create_task(client.send_blob(team, described(blob), body))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed.is_set()
    assert not await client.has_blob(team, described(blob))
    await send(client, team, blob)
    assert await client.has_blob(team, described(blob))


@pytest.mark.parametrize("settings", [oci], indirect=True)
async def test_an_index_whose_child_is_missing_is_refused_by_name_though_an_images_blobs_are_not_looked_for(
    client: RegistryClient, team: Repository
) -> None:
    image = make_image("incomplete")
    with pytest.raises(ManifestBlobUnknown):
        await client.write_manifest(team, TAG, raw(make_index([image])))
    assert await client.stat_manifest(team, TAG) is None
    await client.write_manifest(team, TAG, raw(image))


@pytest.mark.parametrize(
    "settings", [distribution, distribution_with_tokens, distribution3, distribution3_with_tokens], indirect=True
)
async def test_a_manifest_whose_blob_is_missing_is_refused_by_name(client: RegistryClient, team: Repository) -> None:
    image = make_image("incomplete")
    with pytest.raises(ManifestBlobUnknown):
        await client.write_manifest(team, TAG, raw(image))
    with pytest.raises(ManifestBlobUnknown):
        await client.write_manifest(team, TAG, raw(make_index([image])))
    assert await client.stat_manifest(team, TAG) is None


@pytest.mark.parametrize("settings", [distribution, distribution_with_tokens, distribution3], indirect=True)
async def test_a_layer_that_is_not_allowed_is_about_the_manifest_not_the_registry(
    client: RegistryClient, team: Repository
) -> None:
    """Distribution answers 500 to it."""
    image = make_image("elsewhere", [5], foreign=(2_000,))
    for blob in image.blobs():
        await send(client, team, blob)
    with pytest.raises(ManifestNotTaken, match="served elsewhere") as caught:
        await client.write_manifest(team, TAG, raw(image))
    assert caught.value.status == 500


async def test_a_tag_is_removed_and_its_manifest_left_or_the_registry_is_known_to_remove_none(
    client: RegistryClient, team: Repository, request: pytest.FixtureRequest
) -> None:
    image = make_image("tagged", [5])
    await push(client, team, image, TAG)
    await client.write_manifest(team, image.digest, raw(image))
    if kind_of(request) in {distribution, distribution_with_tokens, distribution_with_basic}:
        with pytest.raises(RegistryError, match="removes no tags") as caught:
            await client.delete_tag(team, TAG)
        assert (caught.value.reason, caught.value.temporary) == (Reason.UNSUPPORTED, False)
        assert client.capabilities.holds(Capability.TAG_DELETE) is False
    else:
        await client.delete_tag(team, TAG)
        assert await client.stat_manifest(team, TAG) is None
        await client.delete_tag(team, TAG)
    assert await client.stat_manifest(team, image.digest) is not None


async def test_that_a_tag_goes_alone_is_shown_with_one_of_our_own_which_is_removed_again(
    client: RegistryClient, team: Repository, request: pytest.FixtureRequest
) -> None:
    old = kind_of(request) in {distribution, distribution_with_tokens, distribution_with_basic}
    await push(client, team, make_image("left alone", [5]), TAG)
    assert await client.prove_tag_delete_alone(team) is not old
    assert client.capabilities.holds(Capability.TAG_DELETE) is not old
    assert [tag async for tag in client.tags(team)] == [TAG]


async def test_what_check_asks_is_answered_and_leaves_nothing_with_a_name(
    client: RegistryClient, team: Repository, request: pytest.FixtureRequest
) -> None:
    kind = kind_of(request)
    old = {distribution, distribution_with_tokens, distribution_with_basic}
    assert await client.prove_sparse_index(team) is (kind is permissive_registry)
    assert await client.prove_tag_delete(team) is (False if kind in old else None)
    image = make_image("proven", [5])
    await push(client, team, image, TAG)
    assert await client.prove_referrers(team) is (kind is oci)
    assert [tag async for tag in client.tags(team)] == [TAG]


async def test_what_a_registry_checks_is_found_out_and_leaves_nothing_behind(
    client: RegistryClient, settings: ReplicaSettings, team: Repository, request: pytest.FixtureRequest
) -> None:
    careless = kind_of(request) in {permissive_registry, oci}
    assert await client.prove_checks_manifests(team) is not careless
    assert await client.prove_checks_digests(team) is True
    assert client.capabilities.holds(Capability.CHECKS_MANIFESTS) is not careless
    with contextlib.suppress(NotFound):
        assert [tag async for tag in client.tags(team)] == []
    image = make_image("incomplete too")
    async with open_registry(settings, clock=SystemClock()) as other:
        if careless:
            await other.write_manifest(team, TAG, raw(image))
            assert other.capabilities.holds(Capability.CHECKS_MANIFESTS) is None
        else:
            with pytest.raises(ManifestBlobUnknown):
                await other.write_manifest(team, TAG, raw(image))
            assert other.capabilities.holds(Capability.CHECKS_MANIFESTS) is True
