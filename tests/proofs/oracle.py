"""What must hold whatever was broken: the engine's invariants, and a provider that remembers every call it got."""

import asyncio
import hashlib
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from tests.sql.conftest import Engine

FINAL = ("completed", "failed", "cancelled", "unconfirmed")

EDGES = {
    "pending": {"processing", "cancelled"},
    "processing": {"pending", "retrying", *FINAL},
    "retrying": {"processing", "cancelled", "failed"},
    "failed": {"pending"},
    "unconfirmed": {"pending", "completed"},
}
"""The ways a status may go (docs/states.md). `failed → pending` is a redrive; out of `unconfirmed` a person decides."""

INVARIANTS = {
    "a delivered job has one message, and no other message exists": """
        select coalesce(j.id, d.job_id), j.status, d.msg_id
        from (select j.* from public.jobs j where j.msg_id is not null and j.finished_at is null) j
        full join (select d.* from public.queues q, filaviva.deliveries(q.name) d) d
          on d.job_id = j.id and d.msg_id = j.msg_id
        where j.id is null or d.msg_id is null""",
    "a head is a living job of its own group": """
        select g.queue, g.group_key, j.status
        from filaviva.job_groups g left join public.jobs j on j.id = g.active_job_id
        where g.active_job_id is not null
          and (j.id is null or j.finished_at is not null or (j.queue, j.group_key) <> (g.queue, g.group_key))""",
    "who waits behind a group has a group to wait for": """
        select j.id from public.jobs j where starts_with(j.blocked_by, 'group:')
          and not exists (select from filaviva.job_groups g where g.queue = j.queue and g.group_key = j.group_key)""",
    "one job of a group is in flight": """
        select j.queue, j.group_key, count(*) from public.jobs j
        where j.group_key is not null and j.status = 'processing' group by 1, 2 having count(*) > 1""",
    "a processing job of a group is its head": """
        select j.id from public.jobs j where j.group_key is not null and j.status = 'processing'
          and not exists (select from filaviva.job_groups g where g.active_job_id = j.id)""",
    "a status goes allowed ways, and never without a new version": """
        select h.job_id, h.version, h.earlier, h.status from proof.history h
        where h.bad or h.version <= h.earlier_version""",
}
"""Queries that find nothing while all is well."""

HISTORY = """
create schema if not exists proof;
create table proof.edges (earlier text, status text);
create table proof.history (
  job_id uuid, version bigint, earlier_version bigint, earlier text, status text, claim_id bigint, bad boolean
);
create function proof.note() returns trigger language plpgsql security definer set search_path = '' as $$
begin
  insert into proof.history values (
    new.id, new.version, old.version, old.status, new.status, new.claim_id,
    old.status <> new.status
      and not exists (select from proof.edges e where e.earlier = old.status and e.status = new.status));
  return null;
end $$;
create trigger proof_history after update on public.jobs for each row
  when (old.status <> new.status or new.version < old.version) execute function proof.note();
"""


def keep_history(engine: Engine) -> None:
    """Write down every change of a job's status from now on."""
    engine.connection.execute(HISTORY)
    for earlier, following in EDGES.items():
        for status in following:
            engine.connection.execute("insert into proof.edges values (%s, %s)", (earlier, status))


def broken(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """The invariants that do not hold, with what breaks them."""
    found = {rule: engine.connection.execute(query).fetchall()[:5] for rule, query in INVARIANTS.items()}
    return {rule: rows for rule, rows in found.items() if rows}


def lost(engine: Engine, acknowledged: Collection[str]) -> list[tuple[Any, ...]]:
    """The acknowledged jobs that are not there, or not over."""
    query = """
        select a.id, j.status from unnest(%s::uuid[]) as a(id) left join public.jobs j on j.id = a.id
        where j.finished_at is null"""
    return engine.connection.execute(query, (list(acknowledged),)).fetchall()


def statuses(engine: Engine) -> Counter[str]:
    """How many jobs there are of each status."""
    return Counter(dict(engine.connection.execute("select status, count(*) from public.jobs group by 1").fetchall()))


def assert_drained(engine: Engine, acknowledged: Collection[str]) -> None:
    """Every acknowledged job is over, nothing is left behind, and nothing was ever broken on the way."""
    missing, wrong = lost(engine, acknowledged), broken(engine)
    assert not missing, missing[:5]
    assert not wrong, wrong
    assert engine.value("select count(*) from public.queues q, filaviva.deliveries(q.name)") == 0
    assert engine.value("select count(*) from public.jobs where finished_at is null") == 0


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a provider got."""

    key: str
    body_sha256: str
    at: float
    is_effect: bool


@dataclass
class Provider:
    """Another company's API with a ledger. An ASGI application.

    `POST /keyed` honours idempotency keys as good providers do, `POST /plain` does not: there every call is an
    effect. `GET /effects/{key}` tells whether there was one.
    """

    calls: list[Call] = field(default_factory=list)
    requests: int = 0
    on_request: Callable[[], None] = lambda: None
    answer_seconds: Callable[[], float] = lambda: 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        kind, _, key = request.url.path.strip("/").partition("/")
        known = any(call.key == key and call.is_effect for call in self.calls)
        if request.method == "POST":
            try:
                digest = hashlib.sha256(await request.body()).hexdigest()
            except ClientDisconnect:  # the caller died before it had said everything
                return
            self.calls.append(Call(key, digest, time.time(), kind == "plain" or not known))
        self.requests += 1
        self.on_request()
        await asyncio.sleep(self.answer_seconds())
        await JSONResponse({"happened": known or request.method == "POST"})(scope, receive, send)

    def effects(self) -> Counter[str]:
        """How often each key had its effect."""
        return Counter(call.key for call in self.calls if call.is_effect)

    def repeated(self) -> int:
        """Calls after the first of their key; a provider that honours keys makes nothing of them."""
        return sum(count - 1 for count in Counter(call.key for call in self.calls).values())

    def changed(self) -> list[str]:
        """The keys under which the provider got different bodies."""
        bodies: defaultdict[str, set[str]] = defaultdict(set)
        for call in self.calls:
            bodies[call.key].add(call.body_sha256)
        return [key for key, digests in bodies.items() if len(digests) > 1]


def assert_effects_once(provider: Provider, keys: Collection[str]) -> None:
    """Each of `keys` had its effect once and no other did, and whoever called again sent the same."""
    effects = provider.effects()
    twice = [key for key, count in effects.items() if count > 1]
    assert not twice, f"an effect happened twice: {twice[:5]}"
    assert set(effects) == set(keys), "what is called completed happened, and nothing else"
    assert provider.changed() == []


def percentile(values: Collection[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-len(ordered) * round(share * 100) // 100) - 1))]
