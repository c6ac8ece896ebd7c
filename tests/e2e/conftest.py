"""The whole project as processes, once for the tests that only use it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from realtime import RealtimePostgresChangesListenEvent
from supabase import acreate_client

from devstack.stack import remove_data
from examples.local_project import LocalProject


@dataclass(slots=True)
class User:
    """Somebody signed in."""

    id: str
    token: str


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalProject]:
    """devstack, doubles and functions, running."""
    with LocalProject(tmp_path_factory.mktemp("project")) as running:
        yield running
    remove_data(running.data_dir)


@pytest.fixture
def user(project: LocalProject) -> User:
    """A new user with connected accounts."""
    return sign_up(project)


def sign_up(project: LocalProject) -> User:
    """A new user with an account on both networks."""
    answer = httpx.post(
        f"{project.api_url}/auth/v1/signup",
        json={"email": f"{uuid4()}@example.com", "password": "a-long-secret"},
        headers={"apikey": project.anon_key},
    )
    session = answer.raise_for_status().json()
    user = User(session["user"]["id"], session["access_token"])
    for platform in ("tiktok", "instagram"):
        project.rpc("connect_account", {
            "p_user_id": user.id, "p_platform": platform, "p_external_id": f"{platform}-{user.id}",
            "p_display_name": "Test", "p_secrets": {"access_token": f"double:{platform}-{user.id}"},
        })  # fmt: skip
    return user


def upload(project: LocalProject, user: User, content: bytes = b"\0" * 2000) -> str:
    """A medium of the user's in the bucket `media`; what stands for it in a publication."""
    path = f"media/{user.id}/{uuid4()}.mp4"
    headers = {"apikey": project.anon_key, "Authorization": f"Bearer {user.token}", "Content-Type": "video/mp4"}
    httpx.post(f"{project.api_url}/storage/v1/object/{path}", content=content, headers=headers).raise_for_status()
    return f"storage:{path}"


def publication(user: User, url: str, caption: str, options: list[str]) -> dict[str, Any]:
    """A request as the publications document prints it."""
    return {
        "userId": user.id,
        "selectedOptions": options,
        "mediaFiles": [{"name": "video.mp4", "size": 2000, "type": "video/mp4", "url": url}],
        "captions": {"universal": caption},
        "settings": {"tiktok_video": {"privacy": "PUBLIC_TO_EVERYONE"}} if "tiktok_video" in options else {},
    }


def post(project: LocalProject, user: User | None, path: str, body: object) -> httpx.Response:
    """A call of an HTTP function."""
    headers = {"Authorization": f"Bearer {user.token}"} if user else {}
    return httpx.post(f"{project.functions_url}{path}", json=body, headers=headers, timeout=30)


def get(project: LocalProject, user: User, path: str) -> httpx.Response:
    """A read through an HTTP function."""
    return httpx.get(f"{project.functions_url}{path}", headers={"Authorization": f"Bearer {user.token}"})


@contextlib.asynccontextmanager
async def listening(project: LocalProject, user: User) -> AsyncIterator[asyncio.Queue[str]]:
    """The ids of the jobs whose changes reach `user` over Realtime, with the official client, as they arrive."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    ready = asyncio.Event()
    client = await acreate_client(project.api_url, project.anon_key)
    await client.realtime.set_auth(user.token)
    channel = client.channel(f"jobs-{uuid4()}")

    def note(payload: Any) -> None:
        heard.put_nowait(payload["data"]["record"]["id"])

    channel.on_postgres_changes(RealtimePostgresChangesListenEvent.All, callback=note, table="jobs", schema="public")
    channel.on_system(lambda message: ready.set() if message.status == "ok" else None)
    try:
        await channel.subscribe()
        await asyncio.wait_for(ready.wait(), 10)
        yield heard
    finally:
        await client.realtime.close()
