"""What a replica's tag names is foreign only where it cannot be a put of ours (G8)."""

from hypothesis import given
from hypothesis import strategies as st

from replicator.conflict import TagOnReplica, is_foreign
from replicator.model import Digest

DIGESTS = [Digest.of(bytes([number])) for number in range(4)]
digests = st.sampled_from(DIGESTS)
tags = st.builds(
    TagOnReplica,
    held=st.none() | digests,
    wanted=digests,
    have=st.none() | digests,
    doubtful=st.booleans(),
    noted=st.frozensets(digests),
)


@given(tags, st.booleans())
def test_what_is_wanted_known_or_absent_is_never_foreign(tag: TagOnReplica, noted: bool) -> None:
    if tag.held in {None, tag.wanted, tag.have}:
        assert not is_foreign(tag, every_put_noted=noted)


@given(tags)
def test_a_put_of_ours_whose_outcome_is_not_known_is_never_foreign(tag: TagOnReplica) -> None:
    """Where every put is noted the notes tell; where none is, all that appears in doubt may be ours."""
    if tag.doubtful:
        assert not is_foreign(tag, every_put_noted=False)
        if tag.held in tag.noted:
            assert not is_foreign(tag, every_put_noted=True)


@given(tags, st.booleans())
def test_all_else_is_foreign_without_doubt(tag: TagOnReplica, noted: bool) -> None:
    if tag.held not in {None, tag.wanted, tag.have} and not tag.doubtful:
        assert is_foreign(tag, every_put_noted=noted), "even what we put there long ago: somebody moved it back"


def test_in_doubt_what_was_never_noted_is_foreign_where_all_is_noted() -> None:
    tag = TagOnReplica(held=DIGESTS[0], wanted=DIGESTS[1], have=None, doubtful=True, noted=frozenset({DIGESTS[2]}))
    assert is_foreign(tag, every_put_noted=True)
