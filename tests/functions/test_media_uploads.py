"""A user's own media: asked for, uploaded, enqueued by reference, and given an address when it is needed."""

import asyncio
import importlib.util
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from starlette.applications import Starlette

from devstack.gateway import gateway, listen, serving
from devstack.keys import local_keys
from devstack.providers.app import make_providers
from devstack.providers.server import serving as serving_app
from devstack.rest.app import Rest
from devstack.rest.settings import RestSettings
from devstack.storage.app import Storage
from devstack.storage.settings import StorageSettings
from functions.app import create_app
from functions.platforms import media
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Timeouts
from functions.platforms.media_urls import MOST_BYTES
from functions.platforms.post import MediaFile, Post
from functions.platforms.stored_media import with_fresh_urls
from functions.sign_uploads import TYPES
from functions.web.outside import lookup, outside_client
from tests.conftest import REPOSITORY, Database
from tests.functions.conftest import CRON_SECRET, Logs, Project, User, make_settings

VIDEO = bytes(range(256)) * 100
FILE = {"name": "my film (1).mp4", "size": len(VIDEO), "type": "video/mp4"}


@pytest.fixture
async def project(database: Database, tmp_path: Path) -> AsyncIterator[Project]:
    """A project with Storage."""
    keys = local_keys()
    rest = Rest(RestSettings(database.dsn("authenticator"), jwt_secret=keys.jwt_secret, pool_size=2))
    storage = Storage(StorageSettings(database.dsn("supabase_storage_admin"), tmp_path / "storage", keys.jwt_secret))
    listener = listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    await rest.start()
    await storage.start()
    try:
        async with serving(gateway({"/rest/v1": rest, "/storage/v1": storage}, keys, ""), listener):
            with database.connect() as connection:
                yield Project(url, keys, database, connection)
    finally:
        await storage.stop()
        await rest.stop()


@pytest.fixture
def user(project: Project) -> User:
    user = project.sign_up()
    project.call("connect_account", user.id, "instagram", "instagram-1", "Ana", {"access_token": "double:instagram-1"})
    return user


@pytest.fixture
async def api(project: Project, logs: Logs) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(project.settings(), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") as client:
        yield client
    await app.state.services.close()


async def ask(api: httpx.AsyncClient, headers: dict[str, str], *files: Any) -> httpx.Response:
    return await api.post("/api/media/uploads", json={"files": list(files)}, headers=headers)


async def upload(api: httpx.AsyncClient, user: User) -> dict[str, Any]:
    """Ask for an address and upload to it; the entry for `mediaFiles`."""
    [answer] = (await ask(api, user.headers, FILE)).json()["uploads"]
    async with httpx.AsyncClient() as anybody:
        put = answer["upload"]
        stored = await anybody.request(put["method"], put["url"], headers=put["headers"], content=VIDEO)
        assert stored.is_success, stored.text
    file: dict[str, Any] = answer["file"]
    return file


def post_of(*files: dict[str, Any]) -> Post:
    return Post("instagram_reels", tuple(MediaFile(**file) for file in files), "", {})


async def test_an_upload_is_asked_for_made_and_read_when_it_is_published(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    file = await upload(api, user)
    assert file["url"].startswith(f"storage:media/{user.id}/")
    assert file["url"].endswith("/my-film-1-.mp4")
    assert {name: file[name] for name in FILE} == FILE
    settings = project.settings()
    async with outside_client(settings) as http:
        post = await with_fresh_urls(post_of(file), UUID(user.id), http, settings)
        [fresh] = post.media
        assert fresh.url.startswith(f"{project.url}/storage/v1/object/sign/media/{user.id}/")
        assert await media.measure(http, fresh.url, Timeouts(), declared=fresh.size) == len(VIDEO)
        await media.check_pull(http, fresh, Timeouts())
        again = await with_fresh_urls(post, UUID(user.id), http, settings)
        assert again.media[0].url.split("?")[0] == fresh.url.split("?")[0], "an address of one's own file is made anew"


async def drained(app: Starlette, project: Project, job_id: str) -> dict[str, Any]:
    """The job when it is over; whatever it waits for is drained again."""
    transport, headers = httpx.ASGITransport(app), {"Authorization": f"Bearer {CRON_SECRET}"}
    async with asyncio.timeout(30), httpx.AsyncClient(transport=transport, base_url="http://functions") as scheduler:
        while (job := project.job(job_id))["finished_at"] is None:
            await scheduler.post("/api/queue/process", headers=headers, timeout=30)
    return job


async def test_a_post_is_published_from_an_address_made_when_it_is_needed(
    api: httpx.AsyncClient, project: Project, user: User, logs: Logs
) -> None:
    body = {"userId": user.id, "selectedOptions": ["instagram_reels"], "mediaFiles": [await upload(api, user)]}
    enqueued = await api.post("/api/publications/enqueue", json=body, headers=user.headers)
    [job] = enqueued.json()["data"]["jobs"]
    async with serving_app(make_providers()) as providers, httpx.AsyncClient(base_url=providers) as doubles:
        app = create_app(project.settings(instagram_base_url=f"{providers}/instagram", poll_scale=0.01), logs.logger)
        done = await drained(app, project, job["job_id"])
        effects = (await doubles.get("/_ledger")).json()
        await app.state.services.close()
    assert (done["status"], len(effects)) == ("completed", 1), done["error_message"]
    assert "token=" not in json.dumps(done, default=str), "a signed address is a right, and not for the job's row"


async def test_a_job_whose_media_leads_into_a_private_network_ends(project: Project, user: User, logs: Logs) -> None:
    """It came past the endpoint, and its host is a name that stands for a private address."""
    content = {"mediaFiles": [{**FILE, "url": "https://turned.example/a.mp4"}], "caption": "", "settings": {}}
    payload = {"option": "instagram_reels", "platform": "instagram", "content": content}
    [job_id] = project.enqueue({"kind": "publish_post", "user_id": user.id, "payload": payload})

    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["10.0.0.1"] if host == "turned.example" else await lookup(host, port)

    async with serving_app(make_providers()) as providers:
        app = create_app(project.settings(instagram_base_url=f"{providers}/instagram"), logs.logger)
        services = app.state.services
        await services.outside.aclose()
        services.outside = outside_client(services.settings, resolve)
        done = await drained(app, project, job_id)
        await services.close()
    assert (done["status"], done["error_code"]) == ("failed", "media_url_not_allowed")


async def test_the_example_of_the_page_uploads_and_enqueues(project: Project, user: User, tmp_path: Path) -> None:
    path = REPOSITORY / "docs" / "examples" / "publish_media.py"
    assert f"```python\n{path.read_text()}```" in (REPOSITORY / "docs" / "media.md").read_text()
    spec = importlib.util.spec_from_file_location("publish_media", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    video = tmp_path / "film.mp4"
    video.write_bytes(VIDEO)
    async with serving_app(create_app(project.settings())) as functions_url:
        jobs = await asyncio.to_thread(example.publish, functions_url, user.token, user.id, video)
    [job] = jobs
    stored = project.job(job["job_id"])["payload"]["content"]["mediaFiles"]
    assert stored[0]["url"].startswith(f"storage:media/{user.id}/")


async def test_enqueueing_refuses_the_files_of_others_and_addresses_that_end_too_soon(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    other = project.sign_up()
    theirs = await upload(api, other)
    path = theirs["url"].removeprefix("storage:media/")
    async with httpx.AsyncClient(base_url=f"{project.url}/storage/v1", headers=other.headers) as storage:
        signed = (await storage.post(f"/object/sign/media/{path}", json={"expiresIn": 600})).json()["signedURL"]
    for url, code in (
        (theirs["url"], "media_not_yours"),
        (f"{project.url}/storage/v1{signed}", "media_url_expires_too_soon"),
        ("https://169.254.169.254/latest/meta-data", "media_url_not_allowed"),
    ):
        body = {
            "userId": user.id,
            "selectedOptions": ["instagram_reels"],
            "mediaFiles": [{**theirs, "url": url}],
        }
        answer = await api.post("/api/publications/enqueue", json=body, headers=user.headers)
        assert answer.status_code == 422
        [rejected] = answer.json()["error"]["details"]["rejected"]
        assert (rejected["code"], rejected["field"]) == (code, "mediaFiles.0.url")
    assert project.jobs() == []


async def test_a_file_that_is_gone_is_permanent_and_a_storage_that_is_down_is_not(
    api: httpx.AsyncClient, project: Project, user: User
) -> None:
    file, settings = await upload(api, user), project.settings()
    missing = {**file, "url": f"storage:media/{user.id}/none.mp4"}
    wrong = replace_key(project)
    async with outside_client(settings) as http:
        with pytest.raises(CallFailed, match="upload it again") as gone:
            await with_fresh_urls(post_of(file, missing), UUID(user.id), http, settings)
        assert isinstance(gone.value.failure, Permanent)
        with pytest.raises(CallFailed) as refused:
            await with_fresh_urls(post_of(file), UUID(user.id), http, wrong)
        assert isinstance(refused.value.failure, TryAgain)
    down = make_settings()
    async with outside_client(down) as http:
        with pytest.raises(CallFailed) as failed:
            await with_fresh_urls(post_of(file), UUID(user.id), http, down)
        assert isinstance(failed.value.failure, TryAgain)
        elsewhere = post_of({**file, "url": "https://cdn.example/a.mp4"}, {**file, "url": f"storage:media/{uuid4()}/a"})
        assert await with_fresh_urls(elsewhere, UUID(user.id), http, down) is elsewhere, "not the owner's: left alone"


def replace_key(project: Project) -> Any:
    return replace(project, keys=replace(project.keys, service_role_key="nonsense")).settings()


async def test_a_file_that_cannot_be_published_is_not_uploaded(api: httpx.AsyncClient, user: User) -> None:
    changes: list[tuple[dict[str, Any], str]] = [
        ({"name": ""}, "files.0.name"),
        ({"name": "a" * 256}, "files.0.name"),
        ({"size": 0}, "files.0.size"),
        ({"size": MOST_BYTES + 1}, "files.0.size"),
        ({"size": "much"}, "files.0.size"),
        ({"type": "text/html"}, "files.0.type"),
        ({"type": "video/mp4\r\nX: y"}, "files.0.type"),
        ({"type": None}, "files.0.type"),
        ({"url": "https://cdn.example"}, "files.0.url"),
    ]
    for change, field in changes:
        answer = await ask(api, user.headers, {**FILE, **change})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_field")
        assert answer.json()["error"]["details"]["field"] == field


async def test_as_many_files_as_a_post_takes_are_asked_for_at_once(api: httpx.AsyncClient, user: User) -> None:
    for count in (0, 36):
        assert (await ask(api, user.headers, *[FILE] * count)).json()["error"]["details"]["field"] == "files"
    assert len((await ask(api, user.headers, *[FILE] * 35)).json()["uploads"]) == 35


async def test_a_name_becomes_one_that_no_address_has_to_escape(api: httpx.AsyncClient, user: User) -> None:
    names = {
        "../../etc/passwd": "etc-passwd",
        "Ünï.mp4": "n-.mp4",
        "...": "file",
        "a" * 200: "a" * 100,
        "a?b#c%2f.mp4": "a-b-c-2f.mp4",
    }
    answers = (await ask(api, user.headers, *({**FILE, "name": name} for name in names))).json()["uploads"]
    assert [answer["file"]["name"] for answer in answers] == list(names)
    assert [answer["file"]["url"].rpartition("/")[2] for answer in answers] == list(names.values())


async def test_only_somebody_signed_in_uploads(api: httpx.AsyncClient, project: Project, user: User) -> None:
    forged = "".join((user.token[:-10], "A" * 10))
    for token, code in (
        (project.keys.anon_key, "invalid_token"),
        (forged, "invalid_token"),
        (project.token(user.id, exp=1), "invalid_token"),
        (project.token(user.id, role="anon"), "forbidden"),
        (CRON_SECRET, "invalid_token"),
    ):
        answer = await ask(api, {"Authorization": f"Bearer {token}"}, FILE)
        assert answer.json()["error"]["code"] == code, answer.text
        assert answer.status_code == (403 if code == "forbidden" else 401)


async def test_a_project_without_storage_says_what_is_wrong(project: Project, user: User, logs: Logs) -> None:
    with project.database.connect("supabase_admin") as admin:
        admin.execute("truncate storage.buckets cascade")
    for settings, status, code in (
        (project.settings(), 500, "storage_not_ready"),
        (make_settings(supabase_anon_key="anon"), 503, "storage_unavailable"),
    ):
        app = create_app(settings, logs.logger)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") as api:
            answer = await ask(api, user.headers, FILE)
        await app.state.services.close()
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert user.token not in logs.stream.getvalue()


async def test_the_bucket_takes_what_the_options_take(project: Project) -> None:
    statement = "select public, file_size_limit, allowed_mime_types from storage.buckets where id = 'media'"
    row = project.connection.execute(statement).fetchone()
    assert row is not None
    public, size, types = row
    assert (public, size) == (False, MOST_BYTES)
    taken = {type_ for type_ in TYPES if type_ in types or f"{type_.partition('/')[0]}/*" in types}
    assert taken == TYPES
