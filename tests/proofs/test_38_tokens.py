"""Proof 38, the tokens: one that ends takes its channels with it, a new one costs no event, a lost right is lost."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import jwt
import pytest

from filaviva import Forbidden, NotSignedIn
from filaviva.live.jobs import LiveJobs
from filaviva.live.private_channel import PrivateChannel
from filaviva.realtime.feed import Change
from tests.conftest import Database
from tests.proofs.company import a_company, talking
from tests.proofs.conftest import Proof, until

MARK = -1


async def test_at_its_tokens_end_a_channel_is_closed(database: Database, proof: Proof) -> None:
    heard: list[float] = []
    async with a_company(database) as company, AsyncExitStack() as stack:
        project = company.project
        token = project.token(company.rui, seconds=4)
        ends = jwt.decode(token, options={"verify_signature": False})["exp"]
        of_ana = await stack.enter_async_context(project.client(company.ana))
        of_rui = await stack.enter_async_context(project.client(company.rui, token=token))
        voices = talking(of_ana, of_rui, company.topics[0], lambda _, __: heard.append(time.time()))
        speaker, listener = await stack.enter_async_context(voices)
        view = await stack.enter_async_context(of_rui.live_jobs(company_id=company.id))
        await until(lambda: view.is_live)
        closed: dict[str, float] = {}
        parts: dict[str, PrivateChannel | LiveJobs] = {"channel": listener, "view": view}
        while time.time() < ends + 10 and len(closed) < len(parts):
            await speaker.send("said", {})
            await company.hand.enqueue(company.ana, {"company_id": company.id})
            for name, part in parts.items():
                if not part.is_live:
                    closed.setdefault(name, time.time() - ends)
            await asyncio.sleep(0.02)
        for _ in range(5):
            await speaker.send("said", {})
        await until(lambda: isinstance(listener.error, NotSignedIn))
    late, slowest = max(0.0, heard[-1] - ends), max(closed.values(), default=float("inf"))
    proof.record(
        38, "token expiry", target="channel closed <= 5 s after exp",
        reached=f"{len(closed)} channels closed {slowest:.2f} s after exp, the last event {late:.2f} s after it, "
        f"of {len(heard)}", closed_seconds=round(slowest, 2), last_event_seconds=round(late, 2), events=len(heard),
    )  # fmt: skip
    assert len(closed) == len(parts)
    assert min(closed.values()) > -1, "not before its time"
    assert slowest <= 5
    assert late <= 5


async def test_a_new_token_costs_no_event(database: Database, proof: Proof) -> None:
    await refresh(database, proof, tokens=15)


@pytest.mark.faults
@pytest.mark.timeout(300)
async def test_two_hundred_new_tokens_cost_no_event(database: Database, proof: Proof) -> None:
    await refresh(database, proof, tokens=200)


async def refresh(database: Database, proof: Proof, *, tokens: int) -> None:
    heard: list[int] = []
    streamed: dict[str, set[int]] = {}
    async with a_company(database) as company, AsyncExitStack() as stack:
        project = company.project
        of_ana, of_rui = [await stack.enter_async_context(project.client(user)) for user in (company.ana, company.rui)]
        voices = talking(of_ana, of_rui, company.topics[0], lambda _, said: heard.append(said["n"]))
        speaker, listener = await stack.enter_async_context(voices)
        view = of_rui.live_jobs(company_id=company.id, limit=10_000)
        _note_changes(view, streamed)
        await stack.enter_async_context(view)
        await until(lambda: view.is_live and not view.is_loading)
        working = asyncio.create_task(company.work(speaker, 1_000_000))
        lost = 0
        for _ in range(tokens):
            await of_rui.set_access_token(project.token(company.rui))
            await asyncio.sleep(0.1)
            lost += not (listener.is_live and view.is_live)
        company.is_closed = True
        await working
        await speaker.send("said", {"n": MARK})
        versions = {job_id: version for job_id, (version, _) in (await company.hand.rows(company.ana)).items()}
        await until(lambda: heard[-1:] == [MARK] and {str(job.id): job.version for job in view.jobs} == versions)
    said = heard[:-1]
    missed = set(range(company.said)) - set(said)
    unseen = sum(len(set(range(1, version + 1)) - streamed[job_id]) for job_id, version in versions.items())
    proof.record(
        38, "token refresh", target="refresh without a missed event",
        reached=f"{tokens} new tokens during {company.said} broadcasts and {sum(versions.values())} changes of jobs: "
        f"{len(missed)} broadcasts and {unseen} changes missed, {lost} times not live",
        tokens=tokens, broadcasts=company.said, changes=sum(versions.values()), missed=len(missed) + unseen,
    )  # fmt: skip
    assert not missed
    assert unseen == 0
    assert len(said) == len(set(said))
    assert lost == 0


def _note_changes(view: LiveJobs, streamed: dict[str, set[int]]) -> None:
    """Note every version that is streamed to `view`, whether a read was faster or not."""
    take = view._table.changed

    def changed(change: Change) -> None:
        if change.record is not None:
            streamed.setdefault(str(change.row_id), set()).add(change.record["version"])
        take(change)

    view._table.changed = changed  # type: ignore[method-assign]


@pytest.mark.parametrize(("how", "claims"), [("revoked", {}), ("another role", {"role": "anon"})])
async def test_who_lost_the_right_hears_nothing_with_the_next_token(
    database: Database, proof: Proof, how: str, claims: dict[str, Any]
) -> None:
    heard: list[str] = []
    async with a_company(database) as company, AsyncExitStack() as stack:
        project = company.project
        of_ana, of_rui = [await stack.enter_async_context(project.client(user)) for user in (company.ana, company.rui)]
        voices = talking(of_ana, of_rui, company.topics[0], lambda event, _: heard.append(event))
        speaker, listener = await stack.enter_async_context(voices)
        view = await stack.enter_async_context(of_rui.live_jobs(company_id=company.id))
        await until(lambda: view.is_live and not view.is_loading)
        await speaker.send("before", {})
        await until(lambda: heard == ["before"])
        if not claims:
            project.engine.call_as(company.ana, "set_company_member", company.id, company.rui, None)
        began = time.monotonic()
        await of_rui.set_access_token(project.token(company.rui, **claims))
        await until(lambda: isinstance(listener.error, Forbidden))
        took = time.monotonic() - began
        for _ in range(20):
            await speaker.send("after", {})
            await company.hand.enqueue(company.ana, {"company_id": company.id})
        await speaker.send("after", {})
        came = heard.count("after") + len(view.jobs)
    proof.record(
        38, f"right lost ({how})", target="0 foreign events after the refresh",
        reached=f"closed {took:.2f} s after the new token; {came} of 41 events came through",
        closed_seconds=round(took, 2), foreign=came,
    )  # fmt: skip
    assert heard == ["before"]
    assert came == 0
