"""Properties of the pattern language and of routing."""

import hypothesis
from hypothesis import strategies as st

from replicator.model import Change, ChangeKind, Digest, Tag, parse_repository, parse_tag
from replicator.referrers import cosign_tags, fallback_tag
from replicator.routing import Mismatch, Reasons, Router
from replicator.settings.patterns import Patterns
from replicator.settings.schema import PrimarySettings, ReplicaSettings, Rule, Settings

NAMES = st.from_regex(r"[a-c]{1,2}(/[a-c]{1,2}){0,2}", fullmatch=True)
GLOBS = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "?", "-"]), min_size=1, max_size=6).map("".join)
PATTERNS = st.lists(st.builds(lambda negative, glob: negative + glob, st.sampled_from(["", "!"]), GLOBS), max_size=4)
TAGS = st.sampled_from(["v1", "v1.2.3", "latest", "x-dev"]).map(parse_tag)
DIGESTS = st.binary(max_size=2).map(Digest.of)
REPLICAS = ("a", "b", "c")
RULES = st.lists(
    st.builds(
        lambda repositories, tags, replicas, priority: Rule(
            repositories=tuple(repositories), tags=tuple(tags), replicas=tuple(replicas), priority=priority
        ),
        st.lists(st.sampled_from(["**", "a/**", "!b", "a", "*"]), min_size=1, max_size=2),
        st.lists(st.sampled_from(["*", "v*", "!*-dev", "semver:>=1"]), min_size=1, max_size=2),
        st.lists(st.sampled_from(REPLICAS), min_size=1, max_size=3, unique=True),
        st.sampled_from(["high", "normal", "low"]),
    ),
    max_size=4,
)


def settings(rules: list[Rule]) -> Settings:
    replicas = tuple(ReplicaSettings(name=name, url=f"https://{name}.example.com") for name in REPLICAS)
    primary = PrimarySettings(url="https://registry.example.com")
    return Settings(version=1, primary=primary, replicas=replicas, rules=tuple(rules))


@hypothesis.given(PATTERNS, NAMES)
def test_a_list_is_any_positive_and_no_negative(patterns: list[str], name: str) -> None:
    def alone(pattern: str) -> bool:
        return Patterns([pattern.removeprefix("!")], versions=False).match(name)

    positive = [alone(pattern) for pattern in patterns if not pattern.startswith("!")]
    negative = [alone(pattern) for pattern in patterns if pattern.startswith("!")]
    expected = (any(positive) or not positive) and not any(negative)
    assert Patterns(patterns, versions=False).match(name) is expected


@hypothesis.given(PATTERNS, NAMES, st.randoms(use_true_random=False))
def test_the_order_of_patterns_does_not_matter(patterns: list[str], name: str, random: object) -> None:
    assert hasattr(random, "sample")
    shuffled = random.sample(patterns, len(patterns))
    assert Patterns(shuffled, versions=False).match(name) == Patterns(patterns, versions=False).match(name)


@hypothesis.given(NAMES)
def test_a_name_without_wildcards_matches_only_itself(name: str) -> None:
    assert Patterns([name], versions=False).match(name)
    assert not Patterns([name], versions=False).match(f"{name}x")
    assert not Patterns([f"!{name}"], versions=False).match(name)


@hypothesis.given(GLOBS, NAMES)
def test_a_single_star_never_crosses_a_slash(glob: str, name: str) -> None:
    if "**" not in glob and Patterns([glob], versions=False).match(name):
        assert glob.count("/") == name.count("/")


@hypothesis.given(RULES, NAMES, TAGS | DIGESTS)
def test_routing_is_the_same_each_time_and_follows_the_rules(
    rules: list[Rule], name: str, reference: Digest | str
) -> None:
    repository = parse_repository(name)
    known = reference if isinstance(reference, Digest) else parse_tag(reference)
    change = Change(kind=ChangeKind.PUSH, repository=repository, reference=known)
    one, other = Router(settings(rules)), Router(settings(rules))
    intents = one.route(change, 5.0)
    assert intents == one.route(change, 5.0) == other.route(change, 5.0)
    assert tuple(intent.key.replica for intent in intents) == one.replicas_for(repository, known)

    def first(replica: str) -> Rule | None:
        for rule in rules or [Rule()]:
            named = rule.replicas is None or replica in rule.replicas
            tagged = isinstance(known, Digest) or Patterns(rule.tags, versions=True).match(known)
            if named and tagged and Patterns(rule.repositories, versions=False).match(name):
                return rule
        return None

    expected = {replica: rule.priority for replica in REPLICAS if (rule := first(replica))}
    assert {intent.key.replica: intent.priority.name.lower() for intent in intents} == expected


ALONG = st.lists(
    st.builds(
        lambda rule, referrers: rule.model_copy(update={"referrers": referrers}),
        RULES.filter(bool).map(lambda rules: rules[0]),
        st.booleans(),
    ),
    max_size=4,
)
COMPANIONS = DIGESTS.map(fallback_tag) | DIGESTS.map(lambda digest: cosign_tags(digest)[0])


@hypothesis.given(ALONG, NAMES, TAGS | DIGESTS | COMPANIONS)
def test_the_reasons_come_to_what_routing_does(rules: list[Rule], name: str, reference: Tag | Digest) -> None:
    repository, router = parse_repository(name), Router(settings(rules))
    change = Change(kind=ChangeKind.PUSH, repository=repository, reference=reference)
    routed = {intent.key.replica: intent for intent in router.route(change, 5.0)}
    for replica in REPLICAS:
        reasons = router.reasons(replica, repository, reference)
        assert (reasons.rule is not None) == (replica in routed)
        first = 1 if rules else 0
        assert [one.rule for one in reasons.refused] == list(range(first, first + len(reasons.refused)))
        if reasons.rule is None:
            assert len(reasons.refused) == len(rules) or reasons.refused[-1].mismatch is Mismatch.REFERRERS
        elif rules:
            rule = rules[reasons.rule - 1]
            assert reasons.rule == len(reasons.refused) + 1
            assert rule.priority == routed[replica].priority.name.lower()
            assert rule.referrers == router.policy(replica, repository, reference).referrers
        else:
            assert reasons == Reasons(0)
