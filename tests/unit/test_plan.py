"""The order of the steps is guarantee G2; what is there already is not sent again."""

from replicator import manifest
from replicator.manifest import Closure
from replicator.model import Digest, RawManifest, Reference, parse_repository, parse_tag
from replicator.plan import SMALL, Facts, Others, Plan, Way, make_plan
from tests.support.content import Content, closure_of, make_blob, make_image, make_index

TAG = parse_tag("v1")


def closure(content: Content) -> Closure:
    parsed = {
        one.digest: manifest.parse(RawManifest(one.media_type, one.digest, one.body), registry="primary")
        for one in content.manifests()
    }
    top = parsed.pop(content.digest)
    return manifest.closure(top, parsed)


def plan(content: Content, *, reference: Reference = TAG, facts: Facts | None = None) -> Plan:
    return make_plan(closure(content), reference, facts or Facts())


def waves(found: Plan) -> list[set[Reference]]:
    return [{step.reference for step in wave} for wave in found.waves]


def test_an_image_is_its_blobs_and_then_its_tag() -> None:
    image = make_image("a", [10, 300, 20])
    found = plan(image)
    assert {step.blob.digest for step in found.blobs} == {blob.digest for blob in image.blobs()}
    assert waves(found) == [{TAG}]
    assert (found.top.manifest.body, found.top.manifest.media_type) == (image.body, image.media_type)
    assert found.present == ()


def test_the_longest_transfer_starts_first() -> None:
    sizes = [step.blob.size for step in plan(make_image("a", [10, 3_000, 20, 0])).blobs]
    assert sizes == sorted(sizes, reverse=True)


def test_nested_indexes_come_up_in_waves_from_the_leaves() -> None:
    a, b, c = (make_image(seed) for seed in "abc")
    inner = make_index([a, b])
    middle = make_index([inner, c])
    outer = make_index([middle, inner, a])
    assert waves(plan(outer)) == [{a.digest, b.digest, c.digest}, {inner.digest}, {middle.digest}, {TAG}]


def test_a_digest_is_published_under_itself() -> None:
    index = make_index([make_image("a")])
    assert plan(index, reference=index.digest).top.reference == index.digest


def test_the_top_is_put_even_where_it_is_known_to_be() -> None:
    """The manifest may be there under another tag only."""
    image = make_image("a")
    found = plan(image, facts=Facts(present=closure_of(image)))
    assert waves(found) == [{TAG}]
    assert found.bytes_to_bring == 0


def test_nothing_present_is_sent_and_a_wave_of_nothing_is_no_wave() -> None:
    layer = make_blob("shared", 500)
    a, b = make_image("a", [layer]), make_image("b", [layer, 40])
    inner = make_index([a, b])
    there: frozenset[Digest] = frozenset({a.digest, b.digest, layer.digest, a.config.digest})
    found = plan(make_index([inner]), facts=Facts(present=there))
    assert waves(found) == [{inner.digest}, {TAG}]
    assert {step.blob.digest for step in found.blobs} == {b.config.digest, b.layers[1].digest}
    assert {blob.digest for blob in found.present} == {layer.digest, a.config.digest}
    assert found.bytes_to_bring == b.config.size + 40


def test_a_child_that_is_there_does_not_vouch_for_its_blobs() -> None:
    """A registry that does not check manifests may hold one without its content."""
    image = make_image("a")
    found = plan(make_index([image]), facts=Facts(present=frozenset({image.digest})))
    assert {step.blob.digest for step in found.blobs} == {blob.digest for blob in image.blobs()}


def test_absent_blobs_are_mounted_from_where_they_are() -> None:
    image = make_image("a", [100, 200])
    other = parse_repository("team/other")
    here, there = (layer.digest for layer in image.layers)
    facts = Facts(present=frozenset({here}), locations={there: (other,), here: (other,)})
    steps = {step.blob.digest: step for step in plan(image, facts=facts).blobs}
    assert steps[there].mount_from == (other,)
    assert steps[there].way is Way.BRING, "done in one request, whether or not it is there already"
    assert steps[image.config.digest].mount_from == ()
    assert here not in steps


BIG_AND_SMALL = make_image("a", [SMALL + 1, SMALL])


def ways(facts: Facts) -> list[Way]:
    """Return the ways of the large layer, the small layer and the config."""
    return [step.way for step in plan(BIG_AND_SMALL, facts=facts).blobs]


def test_of_an_unknown_repository_is_asked_while_the_uploads_are_opened() -> None:
    assert ways(Facts()) == [Way.BOTH] * 3


def test_where_only_ours_is_small_blobs_are_sent_without_a_question() -> None:
    assert ways(Facts(others=Others.NONE)) == [Way.BOTH, Way.BRING, Way.BRING]


def test_where_others_push_too_no_upload_is_opened_on_suspicion() -> None:
    assert ways(Facts(others=Others.SOME)) == [Way.ASK] * 3


def test_what_is_believed_is_asked_for_unless_the_registry_checks() -> None:
    image, blobs = BIG_AND_SMALL, frozenset(blob.digest for blob in BIG_AND_SMALL.blobs())
    for others in Others:
        asked = plan(image, facts=Facts(believed=blobs, others=others))
        assert [step.way for step in asked.blobs] == [Way.ASK] * 3
        assert all(step.believed for step in asked.blobs)
        assumed = plan(image, facts=Facts(believed=blobs, others=others, checks_manifests=True))
        assert (assumed.blobs, assumed.assumed) == ((), blobs)
        assert {blob.digest for blob in assumed.present} == blobs


def test_after_a_refusal_everything_is_asked_for_and_put() -> None:
    index, everything = make_index([BIG_AND_SMALL]), closure_of(make_index([BIG_AND_SMALL]))
    facts = Facts(believed=everything, others=Others.NONE, checks_manifests=True, careful=True)
    found = plan(index, facts=facts)
    assert [step.way for step in found.blobs] == [Way.ASK] * 3
    assert waves(found) == [{BIG_AND_SMALL.digest}, {TAG}]


def test_blobs_are_assumed_only_under_a_manifest_that_is_put() -> None:
    """A child that is not put again is not looked into by a registry that is given its index."""
    a, b = make_image("a"), make_image("b")
    blobs = frozenset(blob.digest for image in (a, b) for blob in image.blobs())
    facts = Facts(present=frozenset({a.digest}), believed=blobs, checks_manifests=True)
    found = plan(make_index([a, b]), facts=facts)
    assert found.assumed == {blob.digest for blob in b.blobs()}
    assert {step.blob.digest for step in found.blobs} == {blob.digest for blob in a.blobs()}
