"""From decoded changes to messages: who may see which change, and what of it."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from devstack.realtime import generated
from devstack.realtime.authorize import Key, Viewer, key_of, visible_rows
from devstack.realtime.catalog import Catalog, Table
from devstack.realtime.database import Database
from devstack.realtime.events import contents, described, refusal, refused
from devstack.realtime.filters import Comparison, Condition
from devstack.realtime.pgoutput import Change
from devstack.realtime.subscriptions import Listener, Registry, Subscription
from devstack.realtime.values import JsonValues


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """One change in the eyes of one role."""

    change: Change
    table: Table
    readable: frozenset[str]
    error: str | None
    key: Key

    @property
    def needs_check(self) -> bool:
        """Whether row-level security has a say: not over errors, and not over deletes, where no row is left."""
        return self.error is None and self.table.has_rls and self.change.kind != "DELETE"


_Candidate = tuple[_View, Subscription]


class Delivery:
    """Takes changes in the order of the log and hands each listener what is its own, in that order."""

    def __init__(self, database: Database, catalog: Catalog, registry: Registry) -> None:
        """Deliver to the subscriptions in `registry`."""
        self._database = database
        self._catalog = catalog
        self._registry = registry

    async def deliver(self, changes: Sequence[Change]) -> None:
        """Check and send a batch; the checks of the whole batch share their questions to the database.

        Raises:
            psycopg.OperationalError: the database went away, the batch is lost.
        """
        candidates = await self._candidates(changes)
        candidates = await self._matching(candidates)
        candidates = await self._visible(candidates)
        await self._send(candidates)
        await asyncio.sleep(0)  # a long run of changes must let the sockets write

    async def _candidates(self, changes: Sequence[Change]) -> list[_Candidate]:
        found = [(change, await self._catalog.table(change.relation.oid)) for change in changes]
        tabled = [(change, table) for change, table in found if table is not None]
        await generated.complete(tabled, self._database)
        candidates: list[_Candidate] = []
        for change, table in tabled:
            views: dict[str, _View] = {}
            for subscription in self._registry.of_table(change.relation):
                if subscription.binding.matches(change):
                    role = subscription.identity.role
                    if role not in views:
                        views[role] = await self._view(change, table, role)
                    candidates.append((views[role], subscription))
        return candidates

    async def _view(self, change: Change, table: Table, role: str) -> _View:
        readable = await self._catalog.readable(table, role)
        return _View(change, table, readable, refusal(change, table, readable), key_of(table, change))

    async def _matching(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Those whose filter holds; errors go to everyone."""
        judged = [(candidate, _open_terms(*candidate)) for candidate in candidates]
        open_terms = [(candidate, terms) for candidate, terms in judged if terms is not None]
        questions = list({question for _, terms in open_terms for _, question in terms})
        # a pattern may be broken in a way that only some values show; it then matches nothing
        texts = await self._database.evaluate_each([question.expression() for question in questions])
        answers = dict(zip(questions, texts, strict=True))
        return [
            candidate
            for candidate, terms in open_terms
            if all(condition.settle(answers[question]) for condition, question in terms)
        ]

    async def _visible(self, candidates: list[_Candidate]) -> list[_Candidate]:
        """Those whose row the subscriber can see now."""
        questions: dict[tuple[Table, Viewer], list[Key]] = {}
        xids = {view.change.xid for view, _ in candidates if view.needs_check}
        if xids:
            await self._database.wait_until_visible(xids)
        for view, subscription in candidates:
            if view.needs_check:
                keys = questions.setdefault((view.table, _viewer(subscription)), [])
                keys.append(view.key)
        seen = await visible_rows(questions, self._database)
        return [
            (view, subscription)
            for view, subscription in candidates
            if not view.needs_check or (view.table.oid, _viewer(subscription), view.key) in seen
        ]

    async def _send(self, candidates: list[_Candidate]) -> None:
        values = JsonValues()
        shown = {view: None for view, _ in candidates if view.error is None}
        everything = (content for view in shown for content in contents(view.change, view.table))
        await values.prepare(everything, self._database)
        made: dict[tuple[_View, frozenset[str] | None], orjson.Fragment] = {}
        for (listener, view, select), ids in _messages(candidates).items():
            if (view, select) not in made:
                made[view, select] = _content(view, select, values)
            listener.changed(ids, made[view, select])


def _open_terms(view: _View, subscription: Subscription) -> list[tuple[Condition, Comparison]] | None:
    """What only the database can tell about the filter; None if it does not hold, or its column is not in the row."""
    if view.error is not None:
        return []
    row = view.change.new if view.change.new is not None else view.change.old or {}
    terms = []
    for condition in subscription.binding.conditions:
        column = view.table.by_name.get(condition.column)
        if column is None or column.name not in row:
            return None
        verdict = condition.judge(column, row[column.name])
        if verdict is False:
            return None
        if isinstance(verdict, Comparison):
            terms.append((condition, verdict))
    return terms


def _messages(candidates: Iterable[_Candidate]) -> dict[tuple[Listener, _View, frozenset[str] | None], list[int]]:
    """One message a change and listener, with the ids of all its bindings; more only where `select` differs."""
    messages: dict[tuple[Listener, _View, frozenset[str] | None], list[int]] = {}
    for view, subscription in candidates:
        select = subscription.binding.select if view.error is None else None
        ids = messages.setdefault((subscription.listener, view, select), [])
        if subscription.binding.id not in ids:
            ids.append(subscription.binding.id)
    return messages


def _content(view: _View, select: frozenset[str] | None, values: JsonValues) -> orjson.Fragment:
    if view.error is not None:
        return refused(view.change, view.error)
    return described(view.change, view.table, view.readable, select, values)


def _viewer(subscription: Subscription) -> Viewer:
    return Viewer(subscription.identity.role, subscription.identity.claims)
