"""What senders do beside what their samples show: other encodings, older names, batches, and what must be refused."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

from replicator.intake.formats import eventgrid
from replicator.intake.formats.decoded import Decoded, Irrelevance, Irrelevant, Reply
from replicator.intake.formats.known import FORMATS
from replicator.model import Change, ChangeKind, Digest
from tests.support.webhook_samples import samples

LIMIT = 1 << 20
IMAGE = "sha256:" + "3c" * 32
OTHER = "sha256:" + "4d" * 32


def read(format_: str, body: Any, **headers: str) -> Decoded:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FORMATS[format_].decode(body if isinstance(body, bytes) else json.dumps(body).encode(), named, limit=LIMIT)


def document(sample: str) -> Any:
    return json.loads(samples()[sample].body)


def told(decoded: Decoded) -> list[str]:
    """Return what was decoded, short."""
    return [
        *(
            " ".join(filter(None, (change.kind, change.repository, str(change.reference)[:12], change.host)))
            for change in decoded.changes
        ),
        *(f"ignored: {one.reason}" for one in decoded.irrelevant),
        *("unreadable" for _ in decoded.unreadable),
    ]


def test_a_batch_of_either_schema_is_sorted_out() -> None:
    pushed, deleted = document("eventgrid-image-pushed"), document("eventgrid-image-deleted")
    cloud = document("eventgrid-cloudevents-image-pushed")
    assert told(read("eventgrid", [*pushed, {"eventType": 7}, cloud, *deleted])) == [
        "push team/app 1.4.2 exampleregistry.azurecr.io",
        "push team/app 1.4.2 exampleregistry.azurecr.io",
        "delete team/app sha256:cd0ee exampleregistry.azurecr.io",
        "unreadable",
    ]


def test_types_without_the_name_of_the_service_are_those_of_old_documents() -> None:
    (event,) = document("eventgrid-image-pushed")
    assert told(read("eventgrid", [event | {"eventType": "ImagePushed"}]))[0].startswith("push team/app")


def test_a_connected_registry_is_another_one() -> None:
    (event,) = document("eventgrid-image-pushed")
    event["data"]["connectedRegistry"] = {"name": "site"}
    assert read("eventgrid", [event]).irrelevant == (Irrelevant(Irrelevance.OTHER_REGISTRY),)


def test_without_its_own_time_the_envelopes_counts() -> None:
    for name, key in (("eventgrid-image-pushed", "eventTime"), ("eventgrid-cloudevents-image-pushed", "time")):
        body = document(name)
        event = body[0] if isinstance(body, list) else body
        event["data"]["timestamp"] = "soon"
        event[key] = "1970-01-01T00:00:07Z"
        assert read("eventgrid", event).changes[0].happened_at == 7


@pytest.mark.parametrize("code", ["", None, 7, "a b", "a\n", "<b>", "x" * 257, "é"])
def test_a_code_that_nobody_sends_is_not_sent_back(code: Any) -> None:
    (event,) = document("eventgrid-subscription-validation")
    event["data"]["validationCode"] = code
    decoded = read("eventgrid", [event])
    assert decoded.reply is None
    assert decoded.unreadable


def test_only_event_grid_is_given_consent() -> None:
    assert eventgrid.consent({"webhook-request-origin": "EventGrid.azure.net"}) == Reply(
        headers={
            "Allow": "POST",
            "WebHook-Allowed-Origin": "eventgrid.azure.net",
            "WebHook-Allowed-Rate": "*",
        }
    )
    for origin in ("", "*", "eventgrid.azure.net.evil.example", "evil.example"):
        assert eventgrid.consent({"WebHook-Request-Origin": origin}) is None
    assert eventgrid.consent({}) is None


def test_apps_have_another_key_and_another_event() -> None:
    body = document("ghcr-package-published")
    body["registry_package"] = body.pop("package")
    assert told(read("ghcr", body, X_GitHub_Event="registry_package")) == ["push team-example/app 1.4.2 ghcr.io"]


def test_a_form_holds_the_same_json() -> None:
    body = urlencode({"payload": samples()["ghcr-package-published"].body.decode()}).encode()
    form = "application/x-www-form-urlencoded; charset=utf-8"
    assert told(read("ghcr", body, content_type=form)) == ["push team-example/app 1.4.2 ghcr.io"]


@pytest.mark.parametrize("body", [b"", b"payload", b"payload=1&payload=2", b"other={}", b"payload=%ff", b"\xff"])
def test_a_form_without_one_payload_is_unreadable(body: bytes) -> None:
    assert told(read("ghcr", body, Content_Type="application/x-www-form-urlencoded")) == ["unreadable"]


@pytest.mark.parametrize("digest", ["", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha256:12"])
def test_a_digest_that_is_none_does_not_hide_the_tag(digest: str) -> None:
    body = document("ghcr-package-published")
    version = body["package"]["package_version"]
    version["container_metadata"]["tag"]["digest"] = version["version"] = version["name"] = digest
    (change,) = read("ghcr", body, X_GitHub_Event="package").changes
    assert (change.reference, change.digest) == ("1.4.2", None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"action": "deleted"}, Irrelevance.ACTION),
        ({"event": "push"}, Irrelevance.ACTION),
        ({"type": "npm"}, Irrelevance.PACKAGE),
    ],
)
def test_what_is_no_push_of_an_image_is_ignored(changes: dict[str, str], why: Irrelevance) -> None:
    body = document("ghcr-package-published")
    body["action"] = changes.get("action", "updated")
    if "type" in changes:
        body["package"] |= {"package_type": changes["type"], "ecosystem": "npm", "package_version": {}}
    decoded = read("ghcr", body, X_GitHub_Event=changes.get("event", "package"))
    assert decoded == Decoded(irrelevant=(Irrelevant(why),))


def test_what_was_pushed_by_digest_has_it_as_version() -> None:
    body = document("gitea-package-created")
    body["package"]["version"] = IMAGE
    (change,) = read("gitea", body).changes
    assert change.reference == change.digest == Digest.parse(IMAGE)


def test_forgejos_headers_and_forms_are_read() -> None:
    body = urlencode({"payload": samples()["gitea-package-created"].body.decode()}).encode()
    form = "application/x-www-form-urlencoded"
    decoded = read("gitea", body, Content_Type=form, X_Forgejo_Event="package", X_Forgejo_Delivery="d-1")
    assert [change.event_id for change in decoded.changes] == ["d-1"]


def test_owners_and_names_are_in_lower_case_in_the_registry() -> None:
    body = document("gitea-package-created")
    body["package"]["owner"]["login"], body["package"]["name"] = "Team", "deep/App"
    assert read("gitea", body).changes[0].repository == "team/deep/app"


def test_other_packages_and_other_events_are_ignored() -> None:
    body = document("gitea-package-created")
    assert told(read("gitea", body, X_Gitea_Event="push")) == ["ignored: action"]
    body["package"]["type"] = "npm"
    assert told(read("gitea", body)) == ["ignored: package"]


def test_the_host_of_a_name_is_found_behind_a_scheme_too() -> None:
    body = document("quay-repo-push") | {"docker_url": "https://quay.example.com:8443/team/app"}
    assert told(read("quay", body)) == ["push team/app 1.4.2 quay.example.com:8443"]


def test_several_resources_are_several_changes() -> None:
    body = document("harbor-push-artifact")
    (first,) = body["event_data"]["resources"]
    body["event_data"]["resources"] = [first, {"tag": 7}, first | {"tag": "2.0"}]
    host = "registry.example.com"
    assert told(read("harbor", body)) == [
        f"push team/app 1.4.2 {host}",
        f"push team/app 2.0 {host}",
        "unreadable",
    ]


def test_a_nested_name_and_a_port() -> None:
    body = document("harbor-push-artifact")
    body["event_data"]["repository"]["repo_full_name"] = "team/deep/app"
    body["event_data"]["resources"][0]["resource_url"] = "harbor.example.com:8443/team/deep/app:1.4.2"
    assert told(read("harbor", body)) == ["push team/deep/app 1.4.2 harbor.example.com:8443"]


def test_an_artifact_without_a_tag_is_deleted_by_digest() -> None:
    body = document("harbor-delete-artifact")
    body["event_data"]["resources"][0]["tag"] = IMAGE
    body["event_data"]["resources"][0]["digest"] = IMAGE
    assert told(read("harbor", body)) == ["delete team/app sha256:3c3c3 registry.example.com"]


@pytest.mark.parametrize(
    ("artifact", "expected"),
    [
        ({"status": "SUCCESS", "name_tag": f"deep/app@{IMAGE}"}, "delete team/deep/app sha256:3c3c3 r.test"),
        ({"status": "FAILED", "name_tag": "app:1"}, "ignored: failed"),
        ({"status": "SUCCESS", "name_tag": "app"}, "unreadable"),
    ],
)
def test_what_a_retention_run_deleted(artifact: dict[str, str], expected: str) -> None:
    retention = {"project_name": "team", "harbor_hostname": "r.test", "deleted_artifact": [artifact]}
    body = {"type": "TAG_RETENTION", "occur_at": 1, "event_data": {"retention": retention}}
    assert told(read("harbor", body)) == [expected]


def test_a_retention_run_that_deleted_nothing() -> None:
    body = {"type": "TAG_RETENTION", "event_data": {"retention": {"deleted_artifact": None}}}
    assert told(read("harbor", body)) == ["ignored: action"]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"action": "INSERT", "tag": "eu.gcr.io/p/app:v1"}, "push p/app v1 eu.gcr.io"),
        ({"action": "INSERT", "digest": f"h.dev/p/r/app@{IMAGE}", "tag": "v1"}, "push p/r/app v1 h.dev"),
        ({"action": "INSERT", "digest": IMAGE, "tag": "h.dev:8/p/r/app:v1"}, "push p/r/app v1 h.dev:8"),
        ({"action": "UNKNOWN", "tag": "h.dev/p/app:v1"}, "ignored: action"),
        ({"action": "INSERT", "digest": f"h.dev/p/a@{IMAGE}", "tag": "h.dev/p/b:v1"}, "unreadable"),
        ({"action": "INSERT", "tag": "v1"}, "unreadable"),
        ({"action": "INSERT", "tag": "h.dev/p/app"}, "unreadable"),
        ({"action": "INSERT", "tag": "h.dev/p/app:"}, "unreadable"),
        ({"action": "INSERT", "tag": "/p/app:v1"}, "unreadable"),
        ({"tag": "h.dev/p/app:v1"}, "unreadable"),
    ],
)
def test_messages_unwrapped_and_wrapped(message: dict[str, str], expected: str) -> None:
    assert told(read("gar", message)) == [expected]
    data = base64.b64encode(json.dumps(message).encode()).decode()
    assert told(read("gar", {"message": {"data": data}, "subscription": "s"})) == [expected]


def test_unwrapped_messages_have_their_id_and_time_in_headers() -> None:
    named = {"x_goog_pubsub_message_id": "7", "x_goog_pubsub_publish_time": "1970-01-01T00:00:09Z"}
    (change,) = read("gar", {"action": "INSERT", "tag": "h.dev/p/app:v1"}, **named).changes
    assert (change.event_id, change.happened_at) == ("7", 9)


@pytest.mark.parametrize("data", ["", "%%", "e30", base64.b64encode(b"[]").decode(), None, 7])
def test_data_that_is_no_message_is_unreadable(data: Any) -> None:
    assert told(read("gar", {"message": {"data": data}, "subscription": "s"})) == ["unreadable"]


def test_an_untagged_push_is_one_by_digest() -> None:
    body = document("ecr-push")
    del body["detail"]["image-tag"]
    assert read("ecr", body).changes[0].reference == read("ecr", body).changes[0].digest


@pytest.mark.parametrize(
    ("region", "account", "host"),
    [
        ("cn-north-1", "123456789012", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn"),
        ("eu-west-1.evil.example/", "123456789012", None),
        ("eu-west-1", "evil", None),
    ],
)
def test_the_host_is_made_of_account_and_region(region: str, account: str, host: str | None) -> None:
    body = document("ecr-push") | {"region": region, "account": account}
    assert read("ecr", body).changes[0].host == host


def test_what_failed_is_ignored() -> None:
    body = document("ecr-push")
    body["detail"]["result"] = "FAILURE"
    assert told(read("ecr", body)) == ["ignored: failed"]


def test_transformed_deletes_and_other_transformed_events() -> None:
    body = document("ecr-cloudevents-transformed")
    assert told(read("ecr", body | {"type": "com.amazon.ecr.image.delete"}))[0].startswith("delete team/app 1.4.2")
    assert told(read("ecr", body | {"type": "com.amazon.ecr.image.scan"})) == ["ignored: action"]


def test_a_message_of_sns_that_is_no_json_is_unreadable() -> None:
    body = document("sns-notification-ecr-push")
    assert told(read("sns", body | {"Message": "hello"})) == ["unreadable"]
    assert told(read("sns", {"Type": "Notification"})) == ["unreadable"]


def test_zot_by_digest() -> None:
    sample = samples()["zot-image-updated"]
    body = document("zot-image-updated") | {"reference": IMAGE, "digest": IMAGE}
    (change,) = FORMATS["zot"].decode(json.dumps(body).encode(), sample.headers, limit=LIMIT).changes
    assert change.reference == change.digest == Digest.parse(IMAGE)


def test_quay_names_several_tags() -> None:
    body = document("quay-repo-push") | {"updated_tags": ["a", "b c", "d", 7]}
    host = "registry.example.com"
    assert told(read("quay", body)) == [f"push team/app a {host}", f"push team/app d {host}", *["unreadable"] * 2]


def test_quay_quota_events_have_no_repository() -> None:
    assert told(read("quay", {"namespace": "team", "threshold_percent": 80})) == ["ignored: action"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (f"v2/team/app/manifests/{IMAGE}", "push team/app sha256:3c3c3"),
        ("/v2/manifests/app/manifests/v1", "push manifests/app v1"),
        (f"v2/-/blobs/{IMAGE}", "ignored: blob"),
        ("v2/team/app/manifests/", "unreadable"),
    ],
)
def test_assets_of_nexus_are_manifests_or_blobs(name: str, expected: str) -> None:
    body = document("nexus-asset-created")
    body["asset"]["name"] = name
    assert told(read("nexus", body)) == [expected]


def test_nexus_components_of_other_formats_are_ignored() -> None:
    body = document("nexus-component-created")
    body["component"]["format"] = "maven2"
    assert told(read("nexus", body)) == ["ignored: package"]


def test_jfrog_files_are_ignored() -> None:
    body = document("jfrog-docker-pushed") | {"domain": "artifact", "event_type": "deployed"}
    assert told(read("jfrog", body)) == ["ignored: package"]


@pytest.mark.parametrize("origin", ["", "artifactory", "https://user:secret@host/", "ftp://host/", "http://["])
def test_an_origin_that_is_no_plain_url_names_no_host(origin: str) -> None:
    body = document("jfrog-docker-pushed") | {"jpd_origin": origin}
    assert read("jfrog", body).changes[0].host is None


@pytest.mark.parametrize("time", [1.417566161e9, 1417566161])
def test_docker_hubs_numbers_may_have_a_point(time: float) -> None:
    body = document("dockerhub-push")
    body["push_data"]["pushed_at"] = time
    assert read("dockerhub", body).changes[0].happened_at == 1417566161


def test_a_repository_delete_of_azure_is_ignored() -> None:
    body = document("acr-delete")
    del body["target"]["digest"]
    assert told(read("acr", body)) == ["ignored: repository"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"a": 1},
        {"action": "push"},
        {"name": "team/app", "reference": "v1"},
        {"package": {}, "action": "x"},
    ],
)
def test_what_is_like_nobodys_is_unreadable(body: Any) -> None:
    (unreadable,) = read("auto", body).unreadable
    assert unreadable.reason == "no format fits; write the sender's format instead of auto"


def test_what_could_be_two_senders_is_unreadable() -> None:
    mixed = document("quay-repo-push") | document("dockerhub-push")
    mixed["homepage"], mixed["docker_url"] = "x", "x/y"
    (unreadable,) = read("auto", mixed).unreadable
    assert unreadable.reason.startswith("several formats fit: dockerhub, quay;")


def test_headers_that_contradict_the_body_make_it_unreadable() -> None:
    assert told(read("auto", document("harbor-push-artifact"), X_GitHub_Event="package")) == ["unreadable"]


def test_an_unwrapped_message_of_google_is_recognised() -> None:
    message = {"action": "DELETE", "digest": f"europe-docker.pkg.dev/p/r/app@{OTHER}"}
    (change,) = read("auto", message).changes
    assert (change.kind, change.repository) == (ChangeKind.DELETE, "p/r/app")


def test_event_grids_handshake_is_answered() -> None:
    assert isinstance(read("auto", document("eventgrid-subscription-validation")).reply, Reply)


def test_headers_of_lone_surrogates_count_as_missing() -> None:
    """The server keeps bytes that are no text in this way; as the name of an event they could not be stored."""
    body = document("gitea-package-created")
    (change,) = read("gitea", body, X_Gitea_Event="package", X_Gitea_Delivery="\udcff").changes
    assert isinstance(change, Change)
    assert change.event_id == ""
