"""Rows that are both read and streamed, merged by their `version` so that none ever goes backwards.

No input or output here: a live table feeds it.
"""

import bisect
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from enum import Enum, auto
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from filaviva.models import from_row

M = TypeVar("M", bound=BaseModel)


class Merged(Enum):
    """What a streamed change did."""

    NEWER = auto()
    """The row is now as the change says, or does not belong here any more."""
    OLD = auto()
    """The change was already known, or older; nothing happened."""
    GAP = auto()
    """It cannot be told what the row looks like now: read it."""


class Rows(Generic[M]):
    """The newest known state of the rows that belong to a view.

    Args:
        model: what a row becomes; has `id`, `order_by`, and `version`, which rises by one at every change of the row.
        belongs: whether a row is one of the view's.
        order_by: a unique column that never changes; the greatest value comes first.
        limit: how many rows are kept at most, the first ones in that order; None for all.
    """

    def __init__(self, model: type[M], belongs: Callable[[M], bool], order_by: str, limit: int | None) -> None:
        self._model = model
        self._belongs = belongs
        self._order_by = order_by
        self._limit = limit
        self._rows: dict[str, M] = {}
        self._order: list[tuple[Any, str]] = []
        self._columns: frozenset[str] = frozenset()
        self._field_sets: dict[frozenset[str], set[str]] = {}
        self._touched: dict[str, float] | None = None
        self._seen: set[str] = set()
        self._newest: tuple[M, ...] | None = ()
        self.was_thinned = False
        """A row left a full window: the one that follows it is not known. Reset by the next read of everything."""
        self._overtaken = False

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> M | None:
        """The row, or None."""
        return self._rows.get(row_id)

    @property
    def by_id(self) -> Mapping[str, M]:
        """The rows by their ids; do not change it."""
        return self._rows

    @property
    def newest(self) -> tuple[M, ...]:
        """All rows in falling order."""
        if self._newest is None:
            self._newest = tuple(self._rows[row_id] for _, row_id in reversed(self._order))
        return self._newest

    def take_change(self, record: Mapping[str, Any], *, is_whole: bool = False) -> Merged:
        """Take the new row of a streamed change; `is_whole`: an insert, which leaves no column out.

        PostgreSQL leaves large unchanged columns out of an update. They keep their known value, but only if the change
        follows directly on the known version: otherwise they may have changed in between.
        """
        row_id, version = str(record.get("id")), record.get("version")
        if not isinstance(version, int):
            return Merged.GAP
        known = self._rows.get(row_id)
        if version <= self._known_version(row_id):
            return Merged.OLD
        absent = self._columns - record.keys()
        follows = known is not None and version == _version(known) + 1
        if not is_whole and (not self._columns or (absent and not follows)):
            return Merged.GAP
        kept = {name: getattr(known, name) for name in absent} if known is not None else {}
        self._take(row_id, self._modelled({**kept, **record}))
        return Merged.NEWER

    def take_delete(self, row_id: str) -> bool:
        """The row is gone; whether it was known."""
        self._touch(row_id, math.inf)
        return self._drop(row_id)

    def begin_read(self) -> None:
        """Note from now on what changes: it is newer than what the read will bring."""
        self._touched = {}
        self._seen = set()
        self._overtaken = False

    def take_read(self, rows: Iterable[Mapping[str, Any]]) -> list[M]:
        """Take rows of the read that was begun; those that were newer than what was known."""
        newer = []
        for row in rows:
            row_id = str(row["id"])
            self._seen.add(row_id)
            self._columns = frozenset(row.keys() & self._model.model_fields.keys())
            if row["version"] > self._known_version(row_id):
                model = self._modelled(row)
                self._take(row_id, model)
                newer.append(model)
            elif row_id not in self._rows:
                self._overtaken = True  # it left while the read was on its way, and takes up a place of its page
        return newer

    def end_read(self, scope: Collection[str] | None) -> bool:
        """The read of the rows `scope`, or of everything, is over: what it did not bring is gone, unless it changed.

        Returns:
            Whether anything was gone.
        """
        everything = list(self._rows) if scope is None else scope
        absent = [row_id for row_id in everything if row_id not in self._seen and row_id not in (self._touched or {})]
        gone = [row_id for row_id in absent if self._drop(row_id)]
        if scope is None:
            self.was_thinned = self._overtaken and self._limit is not None and len(self._rows) < self._limit
        self.abandon_read()
        return bool(gone)

    def abandon_read(self) -> None:
        """The read failed, or is over."""
        self._touched = None
        self._seen = set()

    def _modelled(self, row: Mapping[str, Any]) -> M:
        model = from_row(self._model, row)
        # Each model has a set of its fields' names: of thousands of equal ones, half of a view's memory, one does.
        names = self._field_sets.setdefault(frozenset(model.model_fields_set), model.model_fields_set)
        object.__setattr__(model, "__pydantic_fields_set__", names)
        return model

    def _known_version(self, row_id: str) -> float:
        known = self._rows.get(row_id)
        return max(_version(known) if known is not None else 0, (self._touched or {}).get(row_id, 0))

    def _touch(self, row_id: str, version: float) -> None:
        if self._touched is not None:
            self._touched[row_id] = max(version, self._touched.get(row_id, 0))

    def _take(self, row_id: str, model: M) -> None:
        self._touch(row_id, _version(model))
        if not self._belongs(model):
            self._drop(row_id)
            return
        if row_id not in self._rows:
            bisect.insort(self._order, (getattr(model, self._order_by), row_id))
        self._rows[row_id] = model
        self._newest = None
        if self._limit is not None and len(self._order) > self._limit:
            _, oldest = self._order.pop(0)
            del self._rows[oldest]

    def _drop(self, row_id: str) -> bool:
        model = self._rows.pop(row_id, None)
        if model is None:
            return False
        if self._limit is not None and len(self._order) == self._limit:
            self.was_thinned = True
        place = bisect.bisect_left(self._order, (getattr(model, self._order_by), row_id))
        del self._order[place]
        self._newest = None
        return True


def _version(row: BaseModel) -> int:
    version: int = row.version  # type: ignore[attr-defined]
    return version
