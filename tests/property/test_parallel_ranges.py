"""Pieces that come in any order are one blob again, and how wide it is read follows what was measured."""

import random

from hypothesis import given
from hypothesis import strategies as st

from replicator.replication.parallel_ranges import (
    HOLDS_BACK,
    MIB,
    MOST_STREAMS,
    RESERVED,
    Piece,
    Reorder,
    Sample,
    Width,
    most_streams,
    next_width,
    piece_size,
    undecided,
)

RATES = st.floats(0, 1e9)
SAMPLES = st.builds(Sample, RATES, st.floats(0, 1), st.integers(1, 20))


@given(
    size=st.integers(1, 3_000),
    position=st.integers(0, 2_999),
    pieces=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    seed=st.integers(0, 2**32),
)
def test_bytes_are_handed_on_in_order_however_they_come(
    size: int, position: int, pieces: list[int], seed: int
) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(size)
    start = min(position, size - 1)
    order, under_way, got = Reorder(start, size), list[Piece](), bytearray()
    while start + len(got) < size:
        move = rng.randrange(3)
        if move == 0 and order.left and len(under_way) < 4:
            under_way.append(order.assign(min(order.left, rng.choice(pieces))))
        elif move == 1 and under_way:
            piece = rng.choice(under_way)
            count = rng.randint(1, piece.missing)
            piece.add(data[piece.reached : piece.reached + count])
            if not piece.missing:
                under_way.remove(piece)
        elif (taken := order.take()) is not None:
            got += taken
        assert order.position == start + len(got)
        assert 0 <= order.held <= order.reserved <= order.frontier - order.position
    assert bytes(got) == data[start:]
    assert order.take() is None
    assert (order.left, order.reserved, order.held) == (0, 0, 0)
    assert order.is_empty


@given(left=st.integers(1, 10**11), streams=st.integers(1, MOST_STREAMS), reads=st.integers(1, 12))
def test_all_connections_together_stay_within_what_may_be_reserved(left: int, streams: int, reads: int) -> None:
    size = piece_size(left, streams, reads)
    assert 1 <= size <= left
    assert size == left or MIB <= size <= 8 * MIB
    assert size * (streams - 1) * reads <= max(RESERVED, MIB * streams * reads)


@given(reads=st.integers(0, 100), connections=st.integers(1, 1000))
def test_some_connections_are_left_for_others(reads: int, connections: int) -> None:
    streams = most_streams(reads, connections)
    assert 1 <= streams <= MOST_STREAMS
    assert streams == 1 or streams * max(1, reads) <= connections * 0.75


@given(samples=st.lists(SAMPLES, max_size=30), connections=st.integers(1, 64))
def test_width_grows_in_steps_and_only_while_that_pays(samples: list[Sample], connections: int) -> None:
    width, now = Width(), 100.0
    for sample in samples:
        now += 1.0
        former, width = width, next_width(width, sample, connections=connections, now=now)
        assert 1 <= width.streams <= MOST_STREAMS
        if width.streams > former.streams:
            assert width.streams <= 4 * former.streams
            assert width.before == (former.streams, sample.rate)
            assert sample.starved > 0.5
            assert sample.rate <= 50e6 * former.streams
            assert now >= former.not_before
        elif width.streams < former.streams:
            assert former.before is not None
            streams, rate = former.before
            assert sample.rate < rate * former.streams / streams
            assert width in (Width(2 * streams, former.before), Width(streams, not_before=now + HOLDS_BACK)) or (
                width.streams == 2 * streams and width.before == former.before
            )


@given(rate=st.floats(1e3, 40e6), connections=st.integers(16, 64))
def test_a_line_that_slows_each_connection_down_is_read_as_wide_as_may_be(rate: float, connections: int) -> None:
    width = Width()
    for turn in range(8):
        sample = Sample(rate * width.streams, 1.0, 1)
        width = next_width(width, sample, connections=connections, now=float(turn))
    assert width == Width(MOST_STREAMS)


@given(rate=st.floats(1e3, 40e6), turns=st.integers(3, 50))
def test_a_line_that_is_full_is_tried_once_a_minute(rate: float, turns: int) -> None:
    width, tries = Width(), 0
    for turn in range(turns):
        width = next_width(width, Sample(rate, 1.0, 1), connections=32, now=float(turn))
        tries += width.before is not None
    assert tries == 2 * (1 + (turns > HOLDS_BACK + 2))
    assert undecided(width).streams == 1


@given(sample=SAMPLES.filter(lambda one: one.starved < 0.5), now=RATES)
def test_whoever_does_not_wait_for_the_source_changes_nothing(sample: Sample, now: float) -> None:
    assert next_width(Width(), sample, connections=32, now=now) == Width()
