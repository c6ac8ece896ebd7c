"""The demo's story: two users, one request, a failure that heals, and proof at the end."""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from realtime import RealtimePostgresChangesListenEvent
from supabase import AsyncClient, acreate_client

from examples.demo.figures import Figures
from examples.demo.screen import Screen
from examples.local_project import LocalProject
from filaviva import FilaViva, Job, JobStatus, NotFound

CANARIES = 20
JOB_SECONDS = 60
SILENCE_SECONDS = 1.0
"""How long after the last job the second user's channel is still listened to."""


FAILING_ONCE: Mapping[str, Any] = {
    "selectedOptions": ["tiktok_video"],
    "mediaFiles": [{"name": "clip.mp4", "size": 64_000, "type": "video/mp4", "url": "https://..."}],
    "captions": {"universal": "Na segunda tentativa dá certo"},
    "settings": {"tiktok_video": {"privacy": "PUBLIC_TO_EVERYONE"}},
}


class StoryError(RuntimeError):
    """The story cannot go on; the message is the answer that stopped it."""


@dataclass(slots=True)
class Person:
    """A signed-in user with the official client."""

    client: AsyncClient
    id: str
    token: str


class Story:
    """Tells it against a running project; `tell` gives back the figures."""

    def __init__(self, project: LocalProject, request: Mapping[str, Any], screen: Screen, figures: Figures) -> None:
        self.project = project
        self.request = request
        self.screen = screen
        self.figures = figures
        self.http = httpx.AsyncClient(timeout=30)

    async def tell(self) -> Figures:
        """Run it from sign-up to the verdict."""
        first, second = [await self._sign_up(name) for name in ("first", "second")]
        overheard: list[object] = []
        await _listen(second.client, overheard.append)
        self._connect_accounts(first)
        async with self.http, FilaViva(self.project.api_url, self.project.anon_key, first.token) as fila:
            with self.screen.live():
                jobs = await self._watch_all(fila, await self._enqueue_publication(first, self.request))
                healed = await self._watch_all(fila, await self._enqueue_failing_once(first))
            await self._measure(first)
            await self._judge(second, [*jobs, *healed], healed, overheard)
        for person in (first, second):
            await person.client.realtime.close()
        self.screen.conclude(self.figures)
        return self.figures

    async def _sign_up(self, name: str) -> Person:
        client = await acreate_client(self.project.api_url, self.project.anon_key)
        answer = await client.auth.sign_up({"email": f"{name}@example.com", "password": secrets.token_urlsafe(12)})
        if answer.session is None or answer.user is None:
            raise StoryError("sign-up gave no session")
        await client.realtime.set_auth(answer.session.access_token)
        return Person(client, answer.user.id, answer.session.access_token)

    def _connect_accounts(self, person: Person) -> None:
        """What the OAuth callbacks of the platforms would do: store the user's accounts with their tokens."""
        for platform in ("tiktok", "instagram"):
            account = f"{platform}-demo"
            secrets_of_account = {"access_token": f"double:{account}"}
            self.project.rpc("connect_account", {
                "p_user_id": person.id, "p_platform": platform, "p_external_id": account,
                "p_display_name": "Demo", "p_secrets": secrets_of_account,
            })  # fmt: skip

    async def _with_media(self, person: Person, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with an uploaded file for each medium whose address is not a real one."""
        items = request.get("mediaFiles")
        if not isinstance(items, list):
            return dict(request)
        bucket = person.client.storage.from_("media")
        media = []
        for item in items:
            if isinstance(item, dict) and str(item.get("url", "")).strip(".") in {"https://", ""}:
                path = f"{person.id}/{secrets.token_hex(4)}/{item.get('name')}"
                await bucket.upload(
                    path, _video_of(int(item.get("size", 1024))), {"content-type": str(item.get("type"))}
                )
                media.append({**item, "url": f"storage:media/{path}"})
            else:
                media.append(item)
        return {**request, "mediaFiles": media}

    async def _enqueue_publication(self, person: Person, request: Mapping[str, Any]) -> dict[str, str]:
        """Post the request with the user's own id; the job of each option, by its label."""
        body = {**await self._with_media(person, request), "userId": person.id}
        answer = await self._post(person, "/api/publications/enqueue", body)
        return {job["platform"]: job["job_id"] for job in answer["data"]["jobs"]}

    async def _enqueue_failing_once(self, person: Person) -> dict[str, str]:
        """One more post, for which TikTok's double breaks at the first attempt."""
        fault = {"provider": "tiktok", "step": "creator_info", "mode": "fail_before", "times": 1}
        (await self.http.put(f"{self.project.providers_url}/_faults", json=fault)).raise_for_status()
        jobs = await self._enqueue_publication(person, FAILING_ONCE)
        return {f"{option} ({self.screen.word('fails_once')})": job_id for option, job_id in jobs.items()}

    async def _post(self, person: Person, path: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {person.token}"}
        answer = await self.http.post(f"{self.project.functions_url}{path}", json=body, headers=headers)
        if answer.is_error:
            raise StoryError(f"{path} answered {answer.status_code}: {answer.text}")
        return answer.json()

    async def _watch_all(self, fila: FilaViva, jobs: Mapping[str, str]) -> list[Job]:
        async with asyncio.timeout(JOB_SECONDS):
            return list(await asyncio.gather(*(self._watch(fila, *job) for job in jobs.items())))

    async def _watch(self, fila: FilaViva, label: str, job_id: str) -> Job:
        async for job in fila.watch(job_id):
            self.screen.show(label, job)
            if job.status is JobStatus.COMPLETED:
                self.figures.note_completed()
        return job

    async def _measure(self, person: Person) -> None:
        """Send canaries one by one; note when each reached its handler, and its first event us."""
        arrived: dict[str, float] = {}
        news = asyncio.Event()

        def note(payload: dict[str, Any]) -> None:
            record = payload["data"]["record"]
            arrived.setdefault(record["id"], _milliseconds_since(record["created_at"]))
            news.set()

        await _listen(person.client, note, f"user_id=eq.{person.id}")
        async with (
            asyncio.timeout(JOB_SECONDS),
            FilaViva(self.project.api_url, self.project.anon_key, person.token) as fila,
        ):
            for _ in range(CANARIES):
                answer = await self._post(person, "/api/jobs", {"kind": "canary"})
                job_id = answer["jobs"][0]["job_id"]
                while job_id not in arrived:
                    news.clear()
                    await news.wait()
                async for job in fila.watch(job_id):
                    last = job
                started = datetime.fromisoformat((last.result or {})["handler_started_at"])
                self.figures.start_ms.append((started - last.created_at).total_seconds() * 1000)
                self.figures.live_ms.append(arrived[job_id])

    async def _judge(self, second: Person, jobs: list[Job], healed: list[Job], overheard: list[object]) -> None:
        await asyncio.sleep(SILENCE_SECONDS)
        ledger = (await self.http.get(f"{self.project.providers_url}/_ledger")).json()
        keys = [effect["key"] for effect in ledger]
        checks = self.figures.checks
        checks["all_completed"] = bool(jobs) and all(j.status is JobStatus.COMPLETED for j in jobs)
        checks["healed_on_second_attempt"] = [job.attempt for job in healed] == [2]
        checks["exactly_once"] = len(keys) == len(set(keys)) == len(jobs)
        checks["second_hears_nothing"] = not overheard
        checks["second_reads_nothing"] = (await second.client.table("jobs").select("id").execute()).data == []
        checks["second_cannot_watch"] = await self._is_hidden_from(second, str(jobs[0].id))

    async def _is_hidden_from(self, person: Person, job_id: str) -> bool:
        async with FilaViva(self.project.api_url, self.project.anon_key, person.token) as fila:
            with contextlib.suppress(NotFound):
                async for _ in fila.watch(job_id):
                    return False
        return True


async def _listen(client: AsyncClient, callback: Any, condition: str | None = None) -> None:
    """Subscribe to changes of jobs with the official client; returns when changes flow."""
    ready = asyncio.Event()
    channel = client.channel(f"jobs-{secrets.token_hex(4)}")
    channel.on_postgres_changes(
        RealtimePostgresChangesListenEvent.All, callback=callback, table="jobs", schema="public", filter=condition
    )
    channel.on_system(lambda message: ready.set() if message.status == "ok" else None)
    await channel.subscribe()
    async with asyncio.timeout(10):
        await ready.wait()


def _milliseconds_since(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds() * 1000


def _video_of(size: int) -> bytes:
    """A file of `size` bytes that begins as an MP4 does; the doubles look no further."""
    header = bytes.fromhex("0000001866747970") + b"mp42" + bytes(4) + b"mp42isom"
    return (header + secrets.token_bytes(max(size - len(header), 0)))[:size]
