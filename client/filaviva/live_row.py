"""What is known of one database row that is both read and streamed; it never goes backwards."""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any


class Merged(Enum):
    """What a streamed change did to the known row."""

    NEWER = auto()
    """The row is now the changed one."""
    OLD = auto()
    """The change was already known, or older; nothing happened."""
    GAP = auto()
    """It cannot be told what the row looks like now: read it."""


class LiveRow:
    """The newest known state of one row, ordered by its column `version`."""

    def __init__(self) -> None:
        self.columns: Mapping[str, Any] = {}

    @property
    def version(self) -> int:
        """Version of the known state; 0 when nothing is known."""
        version = self.columns.get("version", 0)
        return version if isinstance(version, int) else 0

    def take_row(self, row: Mapping[str, Any]) -> bool:
        """Take a whole row as a read gave it; False when it is not newer than what is known."""
        if row["version"] <= self.version:
            return False
        self.columns = dict(row)
        return True

    def take_change(self, record: Mapping[str, Any]) -> Merged:
        """Take the new row of a streamed change.

        PostgreSQL leaves large unchanged columns out of an update. They keep their known value, but
        only if the change follows directly on the known version: otherwise they may have changed in
        between.
        """
        version = record.get("version")
        if not isinstance(version, int) or not self.columns:
            return Merged.GAP
        if version <= self.version:
            return Merged.OLD
        if version > self.version + 1 and self.columns.keys() - record.keys():
            return Merged.GAP
        self.columns = {**self.columns, **record}
        return Merged.NEWER
