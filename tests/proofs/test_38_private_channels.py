"""Proof 38, the channels: nobody hears what is not theirs, whoever they say they are.

Everyone who has no business there listens while a company works, talks and comes and goes. Each of them has a socket
of its own and notes every frame that carries something, so that nothing a library might hold back is overlooked.
"""

import asyncio
import json
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import pytest
import websockets

from filaviva import Forbidden, NotFound
from tests.conftest import Database
from tests.proofs.company import Company, a_company, talking
from tests.proofs.conftest import Proof, until
from tests.proofs.live_project import LiveProject

Json = dict[str, Any]

FORGED = {"forged": True}
CARRIERS = ("postgres_changes", "broadcast", "presence_state", "presence_diff")
READ_ONLY = """
create policy "everybody hears notices" on realtime.messages for select to authenticated
  using (realtime.topic() like 'avisos:%');
"""


# Intruders ----------------------------------------------------------------------------------------------


@dataclass
class Intruder:
    """A socket that tries one thing, and keeps all it is told."""

    case: str
    topic: str
    token: str | None
    config: Json
    heard: list[Json] = field(default_factory=list)
    blank: int = 0
    answer: str = ""

    async def listen(self, project: LiveProject, ready: asyncio.Semaphore) -> None:
        """Join, speak, and listen until cancelled."""
        url = f"{project.url.replace('http', 'ws', 1)}/realtime/v1/websocket?apikey={project.keys.anon_key}&vsn=1.0.0"
        async with websockets.connect(url, max_size=None) as socket:
            beating = asyncio.create_task(self._beat(socket))
            try:
                await self._send(socket, "phx_join", {"config": self.config, "access_token": self.token})
                await self._send(socket, "broadcast", {"type": "broadcast", "event": "said", "payload": FORGED})
                await self._send(socket, "presence", {"event": "track", "payload": FORGED})
                async for text in socket:
                    self._take(json.loads(text), ready)
            finally:
                beating.cancel()

    def _take(self, frame: Json, ready: asyncio.Semaphore) -> None:
        if frame["event"] == "phx_reply" and frame["ref"] == "phx_join":
            self.answer = frame["payload"]["status"]
            ready.release()
        elif _is_blank(frame):
            self.blank += 1
        elif frame["event"] in CARRIERS and not self._is_of_its_own(frame):
            self.heard.append(frame)

    async def _beat(self, socket: websockets.ClientConnection) -> None:
        """The server ends a socket that is silent for a minute."""
        while True:
            await asyncio.sleep(20)
            await socket.send(json.dumps({"topic": "phoenix", "event": "heartbeat", "payload": {}, "ref": None}))

    async def _send(self, socket: websockets.ClientConnection, event: str, payload: Json) -> None:
        frame = {"topic": f"realtime:{self.topic}", "event": event, "payload": payload, "ref": event, "join_ref": "1"}
        await socket.send(json.dumps(frame))

    def _is_of_its_own(self, frame: Json) -> bool:
        """A public topic is anybody's: there an intruder is told of itself and of other intruders."""
        text = json.dumps(frame["payload"])
        return not self.config["private"] and ("forged" in text or text == "{}")


def _is_blank(frame: Json) -> bool:
    """Whoever may not read a table and follows all tables is told, as by Realtime, that one changed, and no more."""
    data = frame["payload"].get("data", {})
    return bool(data.get("errors")) and not (data["columns"] or data["record"] or data.get("old_record"))


def intruders(company: Company) -> list[Intruder]:
    """Everyone who is not of the company, on every way to hear of it."""
    project = company.project
    stranger, rival, former = project.users(3)
    project.company(rival)
    project.engine.call_as(company.ana, "set_company_member", company.id, former, "agent")
    project.engine.call_as(company.ana, "set_company_member", company.id, former, None)
    claims = {"role": "authenticated", "sub": str(company.ana), "exp": int(time.time()) + 3600}
    tokens = {
        "nobody": None,
        "a stranger": project.token(stranger),
        "a member of another company": project.token(rival),
        "a former member": project.token(former),
        "a member whose token is over": project.token(company.ana, seconds=-60),
        "a member as anon": project.token(company.ana, role="anon"),
        "a token signed by somebody else": jwt.encode(claims, "another-secret-that-has-32-characters", "HS256"),
        "an unsigned token": jwt.encode(claims, "", "none"),
    }
    whole = {"event": "*", "schema": "public", "table": "jobs"}
    changes = {
        "the company's jobs": {**whole, "filter": f"company_id=eq.{company.id}"},
        "a member's jobs": {**whole, "filter": f"user_id=eq.{company.ana}"},
        "the queue's jobs": {**whole, "filter": "queue=eq.work"},
        "everything": {"event": "*", "schema": "*", "table": "*"},
    }
    ways: list[tuple[str, str, Json]] = [
        *((topic.partition(":")[0], topic, _config(private=True)) for topic in company.topics),
        ("the public topic of that name", company.topics[0], _config(private=False)),
        *((name, f"jobs-{uuid.uuid4()}", _config(entry, private=False)) for name, entry in changes.items()),
    ]
    return [
        Intruder(f"{who}: {way}", topic, token, config) for who, token in tokens.items() for way, topic, config in ways
    ]


def _config(*entries: Json, private: bool) -> Json:
    presence = {"key": "", "enabled": True}
    return {"broadcast": {"ack": True}, "presence": presence, "private": private, "postgres_changes": list(entries)}


async def test_no_foreign_event_reaches_anyone_in_cross_traffic(database: Database, proof: Proof) -> None:
    await cross_traffic(database, proof, events=500)


@pytest.mark.faults
@pytest.mark.timeout(600)
async def test_no_foreign_event_reaches_anyone_in_ten_thousand(database: Database, proof: Proof) -> None:
    await cross_traffic(database, proof, events=10_000)


async def cross_traffic(database: Database, proof: Proof, *, events: int) -> None:
    heard: list[Json] = []
    async with a_company(database) as company, AsyncExitStack() as stack:
        project = company.project
        of_ana, of_rui = [await stack.enter_async_context(project.client(user)) for user in (company.ana, company.rui)]
        voices = talking(of_ana, of_rui, company.topics[0], lambda _, said: heard.append(dict(said)))
        speaker, _ = await stack.enter_async_context(voices)
        view = await stack.enter_async_context(of_rui.live_jobs(company_id=company.id, limit=10_000))
        presence = await stack.enter_async_context(of_ana.presence(company.id))
        await until(lambda: view.is_live and presence.is_live)
        cases, ready = intruders(company), asyncio.Semaphore(0)
        listening = [asyncio.create_task(case.listen(project, ready)) for case in cases]
        for _ in cases:
            await asyncio.wait_for(ready.acquire(), 20)
        await presence.go_online()
        await company.work(speaker, events)
        rows = await company.hand.rows(company.ana)
        await until(lambda: len(heard) >= company.said and shows(view, rows), 60)
        for task in listening:
            task.cancel()
        results = await asyncio.gather(*listening, return_exceptions=True)
        assert not [error for error in results if not isinstance(error, asyncio.CancelledError)]
    foreign = {case.case: len(case.heard) for case in cases if case.heard}
    forged = [said for said in heard if "forged" in said]
    proof.record(
        38, "cross traffic", target="30 cases: 0 foreign events in >= 10 000 events",
        reached=f"{len(cases)} cases: {sum(foreign.values())} foreign events in {company.said + company.job_events} "
        f"events, of which the company's people missed 0; {len(forged)} forged messages taken",
        cases=len(cases), events=company.said + company.job_events, broadcasts=company.said, foreign=len(foreign),
        joins_refused=sum(case.answer == "error" for case in cases), blank_events=sum(case.blank for case in cases),
    )  # fmt: skip
    assert not foreign
    assert not forged
    assert len(heard) == company.said
    assert [case.case for case in cases if case.config["private"] and case.answer != "error"] == []
    assert len(cases) >= 30


def shows(view: Any, rows: dict[str, tuple[int, str]]) -> bool:
    """Whether a view of jobs shows just these."""
    return {str(job.id): (job.version, str(job.status)) for job in view.jobs} == rows


# The views of the library --------------------------------------------------------------------------------


async def test_views_show_colleagues_everything_and_others_nothing(database: Database, proof: Proof) -> None:
    """Of jobs, publications and presence; of others are also those who left, whose views were open when they did."""
    async with a_company(database) as company, AsyncExitStack() as stack:
        project = company.project
        stranger, rival, former = project.users(3)
        project.company(rival)
        project.engine.call_as(company.ana, "set_company_member", company.id, former, "agent")
        post = {"kind": "publish_post", "company_id": company.id, "payload": {"option": "tiktok_video", "content": {}}}
        ids = await company.hand.enqueue(company.ana, *[post] * 4)
        shown: dict[str, list[Any]] = {}
        for user in (company.rui, former, stranger, rival):
            fila = await stack.enter_async_context(project.client(user))
            views: list[Any] = [fila.live_jobs(company_id=company.id), fila.live_jobs(job_ids=ids)]
            views += [fila.publication_status(ids), fila.presence(company.id)]
            shown[str(user)] = [await stack.enter_async_context(view) for view in views]
        ana = await stack.enter_async_context(project.client(company.ana))
        presence = await stack.enter_async_context(ana.presence(company.id))
        *of_rui, seen_by_rui = shown[str(company.rui)]
        *of_former, _ = shown[str(former)]
        await until(lambda: presence.is_live and seen_by_rui.is_live)
        await until(lambda: all(len(view.jobs) == 4 for view in (*of_rui, *of_former)))
        project.engine.call_as(company.ana, "set_company_member", company.id, former, None)
        await presence.go_online()
        for job_id in ids:
            claimed = await company.hand.claim(job_id)
            assert claimed is not None
            await company.hand.settle(claimed, "done")
        rows = await company.hand.rows(company.ana)
        await until(lambda: all(shows(view, rows) for view in of_rui) and seen_by_rui.online_count == 1)
        others = [view for user in (stranger, rival) for view in shown[str(user)]]
        jobs, online = others[0:3] + others[4:7], (others[3], others[7])
        leaked = sum(len(view.jobs) for view in jobs) + sum(view.online_count for view in online)
        news = sum(job.status.is_final for view in of_former for job in view.jobs)
        with pytest.raises(NotFound):
            async with project.client(stranger) as fila:
                await anext(fila.watch(ids[0]))
    proof.record(
        38, "views of others", target="0 foreign events",
        reached=f"{len(jobs) + len(online)} views of 2 strangers show {leaked} jobs or people, {len(of_former)} of a "
        f"former member {news} changes since they left; a colleague's {len(of_rui)} show all",
        views=len(jobs) + len(online) + len(of_former), leaked=leaked + news,
    )  # fmt: skip
    assert leaked == 0
    assert news == 0


# Who may hear and not speak -----------------------------------------------------------------------------


async def test_who_may_only_listen_cannot_speak_on_any_way(database: Database, proof: Proof) -> None:
    heard: list[str] = []
    async with a_company(database) as company, AsyncExitStack() as stack:
        with database.connect() as admin:
            admin.execute(READ_ONLY)
        project, topic = company.project, f"avisos:{company.id}"
        stranger, ana = [
            await stack.enter_async_context(project.client(user)) for user in (project.user(), company.ana)
        ]
        voices = talking(stranger, ana, topic, lambda event, _: heard.append(event))
        mute, listener = await stack.enter_async_context(voices)
        with pytest.raises(Forbidden):
            await mute.send("by socket", {})
        await mute.track({"by": "presence"})
        bearers = project.token(company.rui), project.keys.service_role_key
        by_http = [await _broadcast_by_http(project, topic, bearer) for bearer in bearers]
        await until(lambda: len(heard) >= 2)
        present = dict(listener.presence)
    proof.record(
        38, "write without policy", target="0 messages of who may not write",
        reached=f"4 ways tried, {len(heard) - 2} messages and {len(present)} presences came through", ways=4,
    )  # fmt: skip
    assert by_http == [[202, 403], [202, 202]], "a batch leaves out in silence what is not allowed"
    assert heard == ["batch of service_role", "single of service_role"]
    assert present == {}


async def _broadcast_by_http(project: LiveProject, topic: str, bearer: str) -> list[int]:
    """Send on both HTTP ways; the statuses."""
    role = jwt.decode(bearer, options={"verify_signature": False})["role"]
    message = {"topic": topic, "event": f"batch of {role}", "payload": {}, "private": True}
    url = f"{project.url}/realtime/v1/api/broadcast"
    headers = {"apikey": project.keys.anon_key, "Authorization": f"Bearer {bearer}"}
    async with httpx.AsyncClient(headers=headers) as http:
        batch = await http.post(url, json={"messages": [message]})
        single = await http.post(f"{url}/{topic}/events/single of {role}?private=true", json={})
    return [batch.status_code, single.status_code]
