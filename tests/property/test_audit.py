"""An audit says of a replica exactly what is wrong with it, whatever that is."""

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.audit.compare import Seen, compare
from replicator.audit.findings import OWED, Drift, Fault, Lack, Part
from replicator.audit.holdings import Holdings, Manifests
from replicator.model import Digest, Repository, Tag
from replicator.policy import Policy
from tests.property.test_plan import CONTENTS
from tests.support.content import Content, make_image
from tests.unit.replication.support import ModelRegistry

APP, MIRROR, V1 = Repository("team/app"), Repository("mirror/team/app"), Tag("v1")
DIGESTS = st.sampled_from([Digest.of(letter) for letter in (b"a", b"b", b"c")])
LACKS = st.builds(Lack, DIGESTS, st.sampled_from(Part), st.sampled_from(Fault))


@given(st.none() | DIGESTS, st.none() | DIGESTS, st.lists(LACKS, max_size=3).map(tuple))
def test_a_reference_is_equal_or_differs_in_one_way(
    expected: Digest | None, held: Digest | None, lacks: tuple[Lack, ...]
) -> None:
    found = compare("eu", APP, V1, Seen(expected=expected, held=held, lacks=lacks))
    if found is None:
        assert expected is None or (expected == held and not lacks)
        return
    assert found.kind in OWED
    assert (found.kind is Drift.MISSING) == (held is None)
    assert (found.kind is Drift.DIFFERENT) == (held not in {None, expected})
    assert (found.kind is Drift.DAMAGED) == (held == expected and any(one.fault is Fault.BYTES for one in lacks))
    assert set(found.damaged) == {one.digest for one in found.lacks if one.fault is not Fault.ABSENT}
    assert found.lacks == (lacks if held == expected else ())


def referrer_of(content: Content) -> Content:
    entry = {"mediaType": content.media_type, "digest": str(content.digest), "size": len(content.body)}
    return make_image("signature", [300], extra={"subject": entry})


@settings(max_examples=50)
@given(CONTENTS, st.data(), st.booleans(), st.booleans())
def test_exactly_what_is_lost_or_damaged_is_found(
    content: Content, data: st.DataObject, deep: bool, referrers: bool
) -> None:
    replica, primary = ModelRegistry("eu"), ModelRegistry("primary", has_referrers_api=True)
    signature = referrer_of(content)
    primary.hold(APP, signature)
    unsigned = data.draw(st.booleans())
    if not unsigned:
        replica.hold(MIRROR, signature)
    primary.hold(APP, content, V1)
    replica.hold(MIRROR, content, V1)
    manifests = [one.digest for one in content.manifests()]
    blobs = [blob.digest for blob in content.blobs() if blob.digest not in manifests]
    lost = data.draw(st.sets(st.sampled_from([*manifests, *blobs])))
    turned = {one for one in data.draw(st.sets(st.sampled_from(blobs or [content.digest]))) if one in blobs} - lost
    for digest in lost:
        replica.lose(MIRROR, digest)
    for digest in turned:
        replica.data[digest] = bytes(byte ^ 1 for byte in replica.data[digest])
    turned = {digest for digest in turned if replica.data[digest]}
    holdings = Holdings(
        replica,
        primary,
        prefix="mirror/",
        at_once=4,
        manifests=Manifests(),
        on_read=(lambda _: None) if deep else None,
    )
    # Twice: what was asked once is remembered, and remembered well.
    for _ in range(2):
        found = anyio.run(holdings.lacks, APP, content.digest, Policy(referrers=referrers))
        expected = dict.fromkeys(lost, Fault.ABSENT) | (dict.fromkeys(turned, Fault.BYTES) if deep else {})
        if referrers and unsigned:
            expected[signature.digest] = Fault.ABSENT
        assert {lack.digest: lack.fault for lack in found} == expected
        assert len(found) == len({lack.digest for lack in found})
