"""How long the jobs of each kind took: what a drain tells the database, so that the next one stops in time."""

STEPS = 25
"""Up to 1 ms, 2 ms, 4 ms … 4.7 hours."""


class RunTimes:
    """Counts of runs by kind and duration, each step twice as long as the one before."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}

    def note(self, kind: str, seconds: float) -> None:
        """One run of `kind` took so long."""
        counts = self._counts.get(kind)
        if counts is None:
            counts = self._counts[kind] = [0] * STEPS
        whole_ms = -int(-seconds * 1000 // 1)
        counts[min(max(whole_ms - 1, 0).bit_length(), STEPS - 1)] += 1

    def take(self) -> dict[str, list[int]]:
        """The counts since the last take."""
        counts, self._counts = self._counts, {}
        return counts
