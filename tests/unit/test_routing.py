"""Routing: which replicas a change concerns, when, how urgently, and under which policy."""

import math
from pathlib import Path
from typing import Any

import pytest

from replicator.model import (
    Change,
    ChangeKind,
    Digest,
    IntentKey,
    Platform,
    Priority,
    Reference,
    parse_reference,
    parse_repository,
    parse_tag,
)
from replicator.policy import Policy
from replicator.routing import Mismatch, Reasons, Refused, Router
from replicator.settings.load import load
from replicator.settings.schema import PrimarySettings, ReplicaSettings, Rule, Settings, Webhooks

NOW = 1_700_000_000.0
DAY = 86400.0
DIGEST = Digest.of(b"manifest")


def router(*rules: Rule, **replica: Any) -> Router:
    """Return a router for the replicas `a` and `b`; `replica` are further settings of `a`."""
    return Router(
        Settings(
            version=1,
            primary=PrimarySettings(url="https://registry.example.com"),
            replicas=(
                ReplicaSettings(**{"name": "a", "url": "https://a.example.com", **replica}),
                ReplicaSettings(name="b", url="https://b.example.com"),
            ),
            rules=rules,
            webhooks=Webhooks(untagged_hold=7.0),
        )
    )


def push(name: str, **more: Any) -> Change:
    """Return the push of `repository:tag` or `repository@digest`."""
    repository, _, reference = name.partition("@" if "@" in name else ":")
    parsed: Reference = parse_reference(reference)
    return Change(
        **{"kind": ChangeKind.PUSH, "repository": parse_repository(repository), "reference": parsed, **more}
    )


def where(routes: Router, name: str) -> tuple[str, ...]:
    change = push(name)
    return routes.replicas_for(change.repository, change.reference)


def test_without_rules_everything_goes_everywhere() -> None:
    intents = router().route(push("team/app:v1", digest=DIGEST), NOW)
    repository = parse_repository("team/app")
    assert [intent.key for intent in intents] == [
        IntentKey("a", repository, parse_reference("v1")),
        IntentKey("b", repository, parse_reference("v1")),
    ]
    assert {intent.digest for intent in intents} == {DIGEST}
    assert {(intent.since, intent.due_at, intent.priority) for intent in intents} == {(NOW, NOW, Priority.NORMAL)}


def test_for_each_replica_the_first_rule_counts_that_matches_and_names_it() -> None:
    routes = router(
        Rule(repositories=("team/**",), tags=("v*",), replicas=("a",), priority="high"),
        Rule(repositories=("team/**",), replicas=("b",), priority="low"),
        Rule(repositories=("**",)),
    )
    priorities = {
        name: {intent.key.replica: intent.priority for intent in routes.route(push(name), NOW)}
        for name in ("team/app:v1", "team/app:latest", "other:v1")
    }
    assert priorities == {
        "team/app:v1": {"a": Priority.HIGH, "b": Priority.LOW},
        "team/app:latest": {"a": Priority.NORMAL, "b": Priority.LOW},
        "other:v1": {"a": Priority.NORMAL, "b": Priority.NORMAL},
    }


def test_what_no_rule_matches_goes_nowhere() -> None:
    routes = router(
        Rule(repositories=("team/**", "!team/scratch/**"), tags=("semver:>=1", "!*-dev"), replicas=("b",))
    )
    assert where(routes, "team/app:v1.0.0") == ("b",)
    assert where(routes, "team/app:v0.9.0") == ()
    assert where(routes, "team/app:v1.0.0-dev") == ()
    assert where(routes, "team/scratch/app:v1.0.0") == ()
    assert where(routes, "other:v1.0.0") == ()


def test_untagged_content_goes_by_its_repository_and_waits() -> None:
    routes = router(Rule(repositories=("team/*",), tags=("v*",), replicas=("a",)), Rule(repositories=("!team/*",)))
    (intent,) = routes.route(push(f"team/app@{DIGEST}"), NOW)
    assert (intent.key.replica, intent.key.reference, intent.digest) == ("a", DIGEST, DIGEST)
    assert (intent.since, intent.due_at) == (NOW, NOW + 7.0)
    assert where(routes, f"other@{DIGEST}") == ("a", "b")


def test_deletes_make_nothing_owed() -> None:
    assert router().route(push("app:v1", kind=ChangeKind.DELETE), NOW) == ()


def test_a_delete_dooms_where_the_rule_that_sends_the_tag_says_so() -> None:
    routes = router(Rule(tags=("v*",), replicas=("a",), deletes="propagate"), Rule(deletes="ignore"))
    (doomed,) = routes.doomed(push("app:v1", kind=ChangeKind.DELETE), NOW)
    assert (doomed.key.replica, doomed.key.reference) == ("a", "v1")
    assert (doomed.found_at, doomed.due_at) == (NOW, NOW + 3600.0)
    assert routes.doomed(push("app:latest", kind=ChangeKind.DELETE), NOW) == ()
    assert routes.doomed(push("app:v1"), NOW) == ()
    assert routes.doomed(push(f"app:sha256-{'a' * 64}", kind=ChangeKind.DELETE), NOW) == ()


def test_a_delete_propagates_only_by_the_rule_that_brought_the_tag() -> None:
    routes = router(Rule(tags=("v*",), deletes="propagate"))
    (intent, _) = routes.route(push("app:v1"), NOW)
    repository = intent.key.repository
    assert routes.propagates("a", repository, parse_tag("v1"), intent.fingerprint)
    assert not routes.propagates("a", repository, parse_tag("v1"), "of other rules")
    assert not routes.propagates("a", repository, parse_tag("latest"), intent.fingerprint), "no rule sends it"
    assert not router(Rule()).propagates("a", repository, parse_tag("v1"), intent.fingerprint)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_fallback_tags_are_no_references(algorithm: str) -> None:
    assert router().route(push(f"app:{algorithm}-{'a' * 64}"), NOW) == ()


@pytest.mark.parametrize(
    "tag", [f"sha256-{'a' * 64}.sig", f"sha256-{'a' * 63}", f"sha256-{'g' * 64}", f"md5-{'a' * 64}"]
)
def test_tags_like_them_are_ordinary(tag: str) -> None:
    assert where(router(), f"app:{tag}") == ("a", "b")


@pytest.mark.parametrize(
    ("happened_at", "since"),
    [
        (None, NOW),
        (NOW, NOW),
        (NOW - 90.0, NOW - 90.0),
        (NOW - 30 * DAY, NOW - 30 * DAY),
        (NOW - 31 * DAY, NOW),
        (0.0, NOW),
        (-1.0, NOW),
        (NOW + 5.0, NOW),
        (math.inf, NOW),
        (-math.inf, NOW),
        (math.nan, NOW),
    ],
)
def test_the_senders_time_counts_when_it_can_be_believed(happened_at: float | None, since: float) -> None:
    assert {intent.since for intent in router().route(push("app:v1", happened_at=happened_at), NOW)} == {since}


def fingerprint(rule: Rule, **replica: Any) -> str:
    return router(rule, **replica).route(push("team/app:v1"), NOW)[0].fingerprint


def test_the_fingerprint_stands_for_the_content_that_the_policy_asks_for() -> None:
    usual = fingerprint(Rule())
    assert usual == "d479f2ca96b2eed4"
    assert (
        fingerprint(Rule(repositories=("team/*",), priority="high", deletes="propagate", conflicts="keep")) == usual
    )
    assert fingerprint(Rule(), name="c", max_connections=1, labels={"x": "y"}) == usual
    different = {
        fingerprint(Rule(referrers=True)),
        fingerprint(Rule(platforms=("linux/amd64",))),
        fingerprint(Rule(platforms=("linux/amd64", "linux/arm64"))),
        fingerprint(Rule(), url="https://c.example.com"),
        fingerprint(Rule(), repository_prefix="mirror/"),
    }
    assert len(different | {usual}) == 6


def test_the_order_of_platforms_does_not_change_the_fingerprint() -> None:
    one = fingerprint(Rule(platforms=("linux/amd64", "linux/arm64")))
    assert one == fingerprint(Rule(platforms=("linux/arm64", "linux/amd64")))


COMPANION_TAGS = [f"sha256-{'a' * 64}", f"sha512-{'a' * 64}", f"sha256-{'a' * 64}.sig", f"sha256-{'a' * 64}.sbom"]


@pytest.mark.parametrize("tag", COMPANION_TAGS)
def test_where_referrers_travel_their_tags_do_whatever_the_patterns_say(tag: str) -> None:
    """As all content without a tag of its own they go by the first rule that matches their repository."""
    routes = router(
        Rule(repositories=("team/**",), tags=("v*",), replicas=("a",), referrers=True),
        Rule(repositories=("team/**",), tags=("v*",), referrers=False),
    )
    assert [intent.key.replica for intent in routes.route(push(f"team/app:{tag}"), NOW)] == ["a"]
    assert routes.route(push(f"other:{tag}"), NOW) == ()


def test_a_list_of_referrers_is_nothing_to_wait_for() -> None:
    routes = router(Rule(referrers=True))
    assert where(routes, f"app:{COMPANION_TAGS[0]}") == ()
    assert where(routes, f"app:{COMPANION_TAGS[2]}") == ("a", "b")


def test_the_policy_of_a_reference_is_that_of_its_rule() -> None:
    routes = router(
        Rule(tags=("v*",), replicas=("a",), platforms=("linux/amd64", "linux/arm64/v8"), referrers=True),
        Rule(tags=("*",), replicas=("b",)),
    )
    app = parse_repository("app")
    both = Policy((Platform("linux", "amd64"), Platform("linux", "arm64", "v8")), referrers=True)
    assert routes.policy("a", app, parse_reference("v1")) == both
    assert routes.policy("a", app, DIGEST) == both
    assert routes.policy("b", app, parse_reference("v1")) == Policy()
    assert routes.policy("a", app, parse_reference("latest")) == Policy()


def test_reasons_name_the_first_thing_of_each_rule_that_does_not_match() -> None:
    routes = router(
        Rule(repositories=("other/**",)), Rule(tags=("v*",), replicas=("a",)), Rule(repositories=("team/**",))
    )
    app = parse_repository("team/app")
    refused = (
        Refused(1, Mismatch.REPOSITORIES, ("other/**",)),
        Refused(2, Mismatch.TAGS, ("v*",)),
    )
    assert routes.reasons("a", app, parse_reference("latest")) == Reasons(3, refused)
    assert routes.reasons("a", app, parse_reference("v1")) == Reasons(2, refused[:1])
    elsewhere = routes.reasons("b", parse_repository("lib/app"), parse_reference("v1"))
    assert elsewhere.rule is None
    assert elsewhere.refused[1:] == (
        Refused(2, Mismatch.REPLICAS, ("a",)),
        Refused(3, Mismatch.REPOSITORIES, ("team/**",)),
    )
    assert router().reasons("a", app, parse_reference("v1")) == Reasons(0)


def test_reasons_name_the_lines_of_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "replicator.yaml"
    path.write_text(
        "version: 1\nprimary: {url: https://p.test}\nreplicas: [{name: a, url: https://a.test}]\nrules:\n"
        "- repositories: [other/**]\n- tags: [v*]\n"
    )
    routes, app = Router(load(path, {})), parse_repository("team/app")
    found = routes.reasons("a", app, parse_reference("v1"))
    assert (found.rule, found.line, [one.line for one in found.refused]) == (2, 6, [5])
    assert [one.line for one in routes.reasons("a", app, parse_reference("latest")).refused] == [5, 6]
