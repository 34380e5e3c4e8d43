"""What every sample of every sender becomes, exactly; and that no other sender's decoder takes it for its own."""

from typing import Any, get_args

import pytest

from replicator.intake.formats.decoded import Decoded, Irrelevance, Irrelevant, Reply, Unreadable
from replicator.intake.formats.known import FORMATS
from replicator.model import Change, ChangeKind, parse_reference, parse_repository
from replicator.settings.schema import Format
from tests.support.webhook_samples import Sample, samples

LIMIT = 8 << 20
IMAGE = "sha256:cd0eef44249451077a27635c5997623c93cb6dba9a968901d42cb9598cc54015"
OTHER = "sha256:95e305af18847a30ca068264b535625962b13ff724ca77b4deb0b023e7fa252f"
INDEX = "sha256:7dba93b357336652ba0f392fa747f1700ce0e86ce825fb1b2c0ba0f923afa781"
EVENING = 1773067466.0
"""2026-03-09T14:44:26Z."""
PRECISE = EVENING + 0.402973972
HARBOR = 1773066266.0
AZURE = "exampleregistry.azurecr.io"
AMAZON = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"
GOOGLE = "europe-west1-docker.pkg.dev"
ACTION, HANDSHAKE = Irrelevance.ACTION, Irrelevance.HANDSHAKE


def change(
    kind: ChangeKind, named: str, digest: str | None, time: float | None, host: str | None, id_: str
) -> Change:
    repository, _, reference = named.partition("@" if "@" in named else ":")
    parsed = None if digest is None else parse_reference(digest)
    assert not isinstance(parsed, str)
    return Change(
        kind=kind,
        repository=parse_repository(repository),
        reference=parse_reference(reference),
        digest=parsed,
        happened_at=time,
        host=host,
        event_id=id_,
    )


def push(named: str, digest: str | None, time: float | None, host: str | None, id_: str = "") -> Decoded:
    return Decoded(changes=(change(ChangeKind.PUSH, named, digest, time, host, id_),))


def delete(named: str, digest: str | None, time: float | None, host: str | None, id_: str = "") -> Decoded:
    return Decoded(changes=(change(ChangeKind.DELETE, named, digest, time, host, id_),))


def both(*decoded: Decoded) -> Decoded:
    return Decoded(changes=tuple(change for one in decoded for change in one.changes))


def ignored(why: Irrelevance, **more: Any) -> Decoded:
    return Decoded(irrelevant=(Irrelevant(why),), **more)


APP, UNTAGGED = "team/app:1.4.2", f"team/app@{IMAGE}"
HERE, GITEA = "registry.example.com", "f6266f16-1bf3-46a5-9ea4-602e06ead473"
GITHUB, NEXUS = "72d3162e-cc78-11e3-81ab-4c9367dc0958", "7f4a6dde-5c68-4999-bcc0-a62f3fb8ae48"
ZOT, HARBOR_ID = "5f0d6a8e-1a1e-4a53-b2d5-2a3d9f7f6a10", "66e18103-09c1-41f6-982f-37df223f3eeb"
GRID, ECR = "831e1650-001e-001b-66ab-eeb76e069631", "13cde686-328b-6117-af20-0e5566167482"
GONE = "5f1c9a2e-6f0b-4a36-9c0e-64a2a1b1f7d3"
GRID_TIME, GRID_DELETE_TIME = 1777153187 + 0.276585742, 1777226160 + 0.996603117
CONFIRMATION = Reply(body={"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"})

EXPECTED = {
    "acr-chart-delete": ignored(Irrelevance.CHART),
    "acr-chart-push": ignored(Irrelevance.CHART),
    "acr-delete": delete(UNTAGGED, IMAGE, 1773766493 + 0.657764628, AZURE, "afc359ce-df7f-4e32-bdde-1ff8aa80927b"),
    "acr-ping": ignored(Irrelevance.PING),
    "acr-push": push(APP, IMAGE, 1773766321 + 0.343145347, AZURE, "cb8c3971-9adc-488b-bdd8-43cbb4974ff5"),
    "acr-push-by-digest": push(
        f"team/app@{OTHER}", OTHER, 1773766321 + 0.143145347, AZURE, "0f4f2b0c-7f16-4a53-8a47-8d1ff1b1cb7e"
    ),
    "acr-quarantine": ignored(Irrelevance.QUARANTINE),
    "aliyun-push": push(APP, IMAGE, None, None),
    "distribution2-delete-digest": delete(UNTAGGED, IMAGE, PRECISE, HERE, GONE),
    "distribution2-push": push(APP, IMAGE, PRECISE, HERE, "320678d8-ca14-430f-8bb6-4ca139cd83f7"),
    "distribution3-delete-digest": delete(UNTAGGED, IMAGE, PRECISE, HERE, GONE),
    "distribution3-delete-tag": delete(APP, None, PRECISE, HERE, "e0f7c9c8-7c1d-4b0a-bd3f-7f6a4f2d5c11"),
    "distribution3-mount-blob": ignored(Irrelevance.MOUNT),
    "distribution3-pull": ignored(Irrelevance.PULL),
    "distribution3-push": push(APP, IMAGE, PRECISE, HERE, "320678d8-ca14-430f-8bb6-4ca139cd83f7"),
    "distribution3-push-blob": ignored(Irrelevance.BLOB),
    "distribution3-push-index": push(APP, INDEX, PRECISE, HERE, "71ab3b39-6e40-4f3b-8d60-3f8b7ce0f5d2"),
    "dockerhub-push": push("exampleteam/app:1.4.2", None, HARBOR, None),
    "ecr-cloudevents-transformed": push(APP, IMAGE, EVENING, AMAZON, ECR),
    "ecr-delete": delete(APP, IMAGE, EVENING, AMAZON, "dd3b46cb-2c74-f49e-393b-28286b67279d"),
    "ecr-pull-through-cache": ignored(ACTION),
    "ecr-push": push(APP, IMAGE, EVENING, AMAZON, ECR),
    "ecr-replicate": push(APP, IMAGE, EVENING, AMAZON, "c8b133b1-6029-ee73-e2a1-4f466b8ba999"),
    "ecr-update-storage-class": ignored(ACTION),
    "eventgrid-chart-deleted": ignored(Irrelevance.CHART),
    "eventgrid-chart-pushed": ignored(Irrelevance.CHART),
    "eventgrid-cloudevents-image-pushed": push(APP, IMAGE, GRID_TIME, AZURE, GRID),
    "eventgrid-image-deleted": delete(
        UNTAGGED, IMAGE, GRID_DELETE_TIME, AZURE, "f06e3921-301f-42ec-b368-212f7d5354bd"
    ),
    "eventgrid-image-pushed": push(APP, IMAGE, GRID_TIME, AZURE, GRID),
    "eventgrid-subscription-deletion": ignored(ACTION),
    "eventgrid-subscription-validation": ignored(HANDSHAKE, reply=CONFIRMATION),
    "gar-pubsub-delete-digest": delete(
        f"example-project/team/app@{IMAGE}", IMAGE, EVENING + 0.749, GOOGLE, "2070443601311543"
    ),
    "gar-pubsub-delete-tag": delete(
        "example-project/team/app:1.4.2", None, EVENING + 0.749, GOOGLE, "2070443601311542"
    ),
    "gar-pubsub-insert-digest": push(
        f"example-project/team/app@{OTHER}", OTHER, EVENING + 0.749, GOOGLE, "2070443601311541"
    ),
    "gar-pubsub-insert-tag": push(
        "example-project/team/app:1.4.2", IMAGE, EVENING + 0.749, GOOGLE, "2070443601311540"
    ),
    "ghcr-package-published": push("team-example/app:1.4.2", IMAGE, EVENING, "ghcr.io", GITHUB),
    "ghcr-package-published-index": push("team-example/app:1.4.2", INDEX, EVENING, "ghcr.io", GITHUB),
    "ghcr-package-published-untagged": push(f"team-example/app@{OTHER}", OTHER, EVENING, "ghcr.io", GITHUB),
    "ghcr-ping": ignored(Irrelevance.PING),
    "gitea-package-created": push(APP, None, EVENING, "git.example.com", GITEA),
    "gitea-package-deleted": delete(APP, None, None, "git.example.com", GITEA),
    "gitlab-delete-tag": delete(
        "team/project/app:1.4.2", None, PRECISE, HERE, "b8c0e3a1-2d94-4c55-9f5a-77c50d0a9b21"
    ),
    "gitlab-push": push("team/project/app:1.4.2", IMAGE, PRECISE, HERE, "a582a0f3-e620-43e6-8e98-ff850fc9d984"),
    "harbor-cloudevents-push-artifact": push(APP, IMAGE, EVENING, HERE, HARBOR_ID),
    "harbor-cloudevents-replication": ignored(ACTION),
    "harbor-cloudevents-tag-retention": delete("team/app:1.3.0", None, EVENING, HERE, HARBOR_ID),
    # The artifact goes, with all its tags, of which one is named.
    "harbor-delete-artifact": both(delete(APP, IMAGE, HARBOR, HERE), delete(UNTAGGED, IMAGE, HARBOR, HERE)),
    "harbor-legacy-push-image": push(APP, IMAGE, HARBOR, HERE),
    "harbor-pull-artifact": ignored(Irrelevance.PULL),
    "harbor-push-artifact": push(APP, IMAGE, HARBOR, HERE),
    "harbor-push-artifact-untagged": push(f"team/app@{OTHER}", OTHER, HARBOR, HERE),
    "harbor-quota-exceed": ignored(ACTION),
    "harbor-replication": ignored(ACTION),
    "harbor-scanning-completed": ignored(ACTION),
    "harbor-tag-retention": delete("team/app:1.3.0", None, HARBOR, HERE),
    "jfrog-docker-deleted": delete("docker-local/team/app:1.4.2", IMAGE, None, "artifactory.example.com"),
    "jfrog-docker-promoted": push("docker-prod-local/team/app:1.4.2", IMAGE, None, "artifactory.example.com"),
    "jfrog-docker-pushed": push("docker-local/team/app:1.4.2", IMAGE, None, "artifactory.example.com"),
    "jfrog-docker-pushed-list": push("docker-local/team/app:1.4.2", INDEX, None, "artifactory.example.com"),
    "nexus-asset-created": push(APP, None, EVENING + 0.664, None, NEXUS),
    "nexus-component-created": push(APP, None, EVENING + 0.664, None, NEXUS),
    "nexus-component-deleted": delete(APP, None, EVENING + 0.664, None, NEXUS),
    "quay-repo-image-expiry": ignored(ACTION),
    "quay-repo-mirror-sync-success": ignored(ACTION),
    "quay-repo-push": push(APP, None, None, HERE),
    # The test button names tags that may not exist; the primary is asked, and says so.
    "quay-repo-push-test": both(push("team/app:latest", None, None, HERE), push("team/app:foo", None, None, HERE)),
    "quay-vulnerability-found": ignored(ACTION),
    "sns-notification-ecr-push": push(APP, IMAGE, EVENING, AMAZON, ECR),
    "sns-subscription-confirmation": ignored(HANDSHAKE),
    "sns-unsubscribe-confirmation": ignored(HANDSHAKE),
    "zot-image-deleted": delete(APP, IMAGE, PRECISE, None, ZOT),
    "zot-image-lint-failed": ignored(Irrelevance.FAILED),
    "zot-image-scanned": ignored(ACTION),
    "zot-image-updated": push(APP, IMAGE, PRECISE, None, ZOT),
    "zot-nats-image-updated": push(APP, IMAGE, PRECISE, None, ZOT),
    "zot-repository-created": ignored(Irrelevance.REPOSITORY),
}
OF_A_SENDER = {name: sample for name, sample in samples().items() if sample.format}
every_sample = pytest.mark.parametrize("sample", OF_A_SENDER.values(), ids=str)


def read(format_: str, sample: Sample) -> Decoded:
    return FORMATS[format_].decode(sample.body, sample.headers, limit=LIMIT)


def test_every_sample_is_expected_to_be_something() -> None:
    assert EXPECTED.keys() == OF_A_SENDER.keys()
    assert {sample.format for sample in OF_A_SENDER.values()} == FORMATS.keys() - {"auto"}


def test_the_configuration_knows_the_formats_that_there_are() -> None:
    assert set(get_args(Format)) == {*FORMATS, "generic"}


@every_sample
def test_a_sample_becomes_what_it_says(sample: Sample) -> None:
    assert read(sample.format, sample) == EXPECTED[sample.name]


@every_sample
def test_auto_reads_what_the_senders_own_format_reads(sample: Sample) -> None:
    if sample.format == "sns":
        assert read("auto", sample) == Decoded(
            unreadable=(Unreadable("a message of Amazon SNS is only taken where its signature is checked"),)
        )
    else:
        assert read("auto", sample) == EXPECTED[sample.name]


@pytest.mark.parametrize("format_", FORMATS)
def test_the_format_of_another_sender_is_seen_to_be_wrong(format_: str) -> None:
    """A change is never lost in silence: by a wrong `format` it is unreadable, which is counted, kept and told."""
    for name, sample in OF_A_SENDER.items():
        expected, decoded = EXPECTED[name], read(format_, sample)
        if decoded.changes:
            assert decoded == expected, name
        elif expected.changes:
            assert decoded.unreadable, name


@pytest.mark.parametrize("format_", FORMATS)
def test_the_sample_of_no_sender_is_unreadable_everywhere(format_: str) -> None:
    (sample,) = (sample for name, sample in samples().items() if name not in OF_A_SENDER)
    assert read(format_, sample).unreadable
