"""The whole road of an account: connected with a browser, published with, renewed on the way, and let go."""

from collections.abc import AsyncIterator

import pytest

from devstack.providers.app import make_providers
from devstack.providers.server import serving
from tests.functions.accounts_support import SITE, Browser, client_settings
from tests.functions.conftest import CRON_SECRET, Logs, NewApp, Project, client_of

INTERNAL = {"Authorization": f"Bearer {CRON_SECRET}"}


@pytest.fixture
async def providers() -> AsyncIterator[str]:
    async with serving(make_providers()) as url:
        yield url


async def test_an_account_is_connected_published_with_and_let_go(
    project: Project, new_app: NewApp, providers: str, logs: Logs
) -> None:
    app = new_app(
        site_url=SITE,
        accounts_page="/contas",
        oauth_base_url=f"{providers}/oauth",
        x_base_url=f"{providers}/x",
        poll_scale=0.01,
        **client_settings(),
    )
    async with client_of(app) as api:
        browser = Browser(api, project.sign_up())
        assert (await browser.connect("x"))["connected"] == "true"
        with project.database.connect("supabase_admin") as admin:  # as it is two hours later
            admin.execute("update public.social_accounts set token_expires_at = now()")
        request = {"userId": browser.user.id, "selectedOptions": ["x_post"], "captions": {"universal": "hello"}}
        enqueued = await api.post("/api/publications/enqueue", json=request, headers=browser.user.headers)
        assert enqueued.status_code == 200, enqueued.text
        (job,) = enqueued.json()["data"]["jobs"]
        await api.post("/api/queue/process", headers=INTERNAL)
        assert project.job(job["job_id"])["status"] == "completed", project.job(job["job_id"])
        effects = (await api.get("/api/accounts", headers=browser.user.headers)).json()["items"]
        assert [item["version"] for item in effects] == [2], "its token was renewed once"
        deleted = await api.delete(f"/api/accounts/{effects[0]['id']}", headers=browser.user.headers)
        assert deleted.json()["revoked"] is True
    assert logs.find("the account's token was renewed")
    assert logs.find("[Process Publication API] Job completed successfully")
    assert "double:" not in logs.stream.getvalue()
