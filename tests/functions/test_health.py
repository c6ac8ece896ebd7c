import socket
from importlib.metadata import version

import httpx
import pytest
from starlette.applications import Starlette

from functions.app import create_app
from tests.functions.conftest import Logs, Project, make_settings


async def test_health_is_ok_where_the_engine_answers(api: httpx.AsyncClient) -> None:
    answer = await api.get("/api/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "version": version("filaviva"), "database": "ok"}


async def test_head_asks_the_same_without_a_body(api: httpx.AsyncClient) -> None:
    answer = await api.head("/api/health")
    assert (answer.status_code, answer.headers["X-Request-Id"] != "") == (200, True)


async def test_health_does_not_wait_for_a_database_that_hangs(
    project: Project, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.check_health.PATIENCE_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and says nothing
        app = create_app(make_settings(f"http://127.0.0.1:{silent.getsockname()[1]}"), logs.logger)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") as client:
            answer = await client.get("/api/health")
        await app.state.services.close()
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


async def test_health_is_503_where_the_service_key_is_not_accepted(project: Project, logs: Logs) -> None:
    app: Starlette = create_app(project.settings(supabase_service_role_key=project.keys.anon_key), logs.logger)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://functions") as client:
        answer = await client.get("/api/health")
    await app.state.services.close()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
    assert logs.find("unhealthy")
