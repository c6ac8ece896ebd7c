"""How a video is cut for TikTok."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.platforms.chunks import MIB, Chunk
from functions.platforms.tiktok.chunks import ChunkRules, plan_chunks

RULES = ChunkRules()


@pytest.mark.parametrize(
    ("size", "count", "last"),
    [
        (1, 1, Chunk(0, 0)),
        (50_000_123, 1, Chunk(0, 50_000_122)),
        (64 * MIB, 1, Chunk(0, 64 * MIB - 1)),
        (67_108_865, 6, Chunk(52_428_800, 67_108_864)),
        (150_000_000, 14, Chunk(136_314_880, 149_999_999)),
    ],
)
def test_a_plan_has_the_count_and_the_last_chunk_that_tiktok_expects(size: int, count: int, last: Chunk) -> None:
    plan = plan_chunks(size, RULES)
    assert plan.count == len(plan.chunks()) == count
    assert plan.chunks()[-1] == last


def test_the_last_chunk_takes_the_remainder() -> None:
    assert plan_chunks(150_000_000, RULES).chunks()[-1].length == 13_685_120


@given(st.integers(min_value=1, max_value=4_000_000_000))
def test_every_plan_covers_the_file_without_gap_and_keeps_tiktoks_limits(size: int) -> None:
    plan = plan_chunks(size, RULES)
    chunks = plan.chunks()
    assert plan.count == max(1, size // plan.chunk_size) <= 1000
    assert chunks[0].first == 0
    assert chunks[-1].last == size - 1
    assert all(left.last + 1 == right.first for left, right in pairwise(chunks))
    assert all(chunk.length == plan.chunk_size for chunk in chunks[:-1])
    assert 5 * MIB <= plan.chunk_size <= 64 * MIB or plan.count == 1
    assert chunks[-1].length <= 128 * MIB
