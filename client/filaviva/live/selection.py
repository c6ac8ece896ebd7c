"""Which rows a live table keeps, and how their changes reach it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Selection(Generic[M]):
    """Which rows of a table a view shows, and how their changes reach it.

    Attributes:
        table: in schema public, in the Realtime publication, with the columns `id`, `version` and `order_by`.
        model: what a row becomes; its fields are the columns that are read, by the same names.
        row_filters: which changes are streamed, such as ``user_id=eq.<uuid>``; a channel each, shared with other views.
            Every one narrows by owner or id, since the server checks each change against each subscriber.
        where: which rows are read: columns and their values, a list for any of several.
        ids: these rows alone, instead of `where`; changes of others on the same feed are not even looked at.
        belongs: whether a row is one of the view's; must agree with `where`. Default: every row.
        may_gain: whether rows that are there already may come to belong, as where a status is asked for. A change that
            was not heard is then looked for among all rows, and not only among the known and the new ones.
        is_final: whether a row changes no more by itself; such rows are not read again after a silence.
        is_foreign: whether a row's changes do not come through `row_filters`; they get a channel each, up to 50.
        order_by: a unique column that never changes; the greatest value comes first.
        limit: how many rows are kept, the first ones in that order. When one of them leaves, the next is read.
    """

    table: str
    model: type[M]
    row_filters: tuple[str, ...]
    where: Mapping[str, Any] = field(default_factory=dict)
    ids: frozenset[str] | None = None
    belongs: Callable[[M], bool] = lambda _: True
    may_gain: bool = False
    is_final: Callable[[M], bool] = lambda _: False
    is_foreign: Callable[[M], bool] = lambda _: False
    order_by: str = "seq"
    limit: int | None = 1000
