"""Cutting an upload into the chunks that TikTok takes."""

from dataclasses import dataclass

from functions.platforms.chunks import MIB, Chunk


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """What TikTok takes: chunks of 5 to 64 MB, the last up to 128 MB, at most 1000 of them."""

    single_up_to: int = 64 * MIB
    """Bytes up to which a file goes up whole."""
    chunk_size: int = 10 * MIB
    """Bytes of each chunk of a larger file; the last takes the rest as well."""


@dataclass(frozen=True, slots=True)
class ChunkPlan:
    """How a file of `size` bytes is cut."""

    size: int
    chunk_size: int
    count: int

    def chunks(self) -> list[Chunk]:
        """The chunks in order."""
        starts = range(0, self.count * self.chunk_size, self.chunk_size)
        return [*(Chunk(first, first + self.chunk_size - 1) for first in starts[:-1]), Chunk(starts[-1], self.size - 1)]


def plan_chunks(size: int, rules: ChunkRules) -> ChunkPlan:
    """The plan for a file of `size` bytes, which must not be empty."""
    if size <= rules.single_up_to:
        return ChunkPlan(size, size, 1)
    return ChunkPlan(size, rules.chunk_size, size // rules.chunk_size)
