"""The order of the steps is guarantee G2; what is there already is not sent again."""

from replicator import manifest
from replicator.manifest import Closure
from replicator.model import Digest, RawManifest, Reference, parse_repository, parse_tag
from replicator.plan import BlobStep, Facts, Plan, make_plan
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
    assert steps[image.config.digest] == BlobStep(steps[image.config.digest].blob)
    assert here not in steps
