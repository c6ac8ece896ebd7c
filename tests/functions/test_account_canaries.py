"""Where tokens may be: in the vault and at the platform. Looked for everywhere else after the life of an account."""

import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from devstack.providers.app import make_providers
from devstack.providers.server import serving
from tests.functions.accounts_support import SITE, Browser, client_settings
from tests.functions.conftest import CRON_SECRET, Logs, NewApp, Project, client_of

INTERNAL = {"Authorization": f"Bearer {CRON_SECRET}"}
POSTS = {"x": "x_post", "facebook": "facebook_feed"}


@pytest.fixture
async def providers() -> AsyncIterator[str]:
    async with serving(make_providers()) as url:
        yield url


@pytest.fixture
def libraries() -> Iterator[list[str]]:
    """All that any library says at its most talkative."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(self.format(record))

    keeper, root = Keep(), logging.getLogger()
    before = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    yield said
    root.removeHandler(keeper)
    root.setLevel(before)


def rows_outside_the_vault(project: Project) -> str:
    """All rows of all tables, of the engine as of the extensions."""
    with project.database.connect("supabase_admin") as admin:
        tables = admin.execute(
            "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace"
            " where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'vault', 'auth')"
        ).fetchall()
        found = [admin.execute(f"select t::text from {table} t".encode()).fetchall() for (table,) in tables]
    return str(found)


def tokens_of(project: Project) -> set[str]:
    with project.database.connect("supabase_admin") as admin:
        rows = admin.execute(
            "select value from vault.decrypted_secrets s, jsonb_each_text(s.decrypted_secret::jsonb)"
            " where s.name like 'social_account:%'"
        )
        return {value for (value,) in rows.fetchall()}


@dataclass(slots=True)
class Seen:
    """The secrets there were, and what the functions answered."""

    canaries: set[str] = field(default_factory=set)
    answers: list[str] = field(default_factory=list)


async def live_and_leave(project: Project, api: httpx.AsyncClient, seen: Seen) -> None:
    """Connect an account on each platform, publish, and disconnect it."""
    for platform, option in POSTS.items():
        browser = Browser(api, project.sign_up())
        assert (await browser.connect(platform))["connected"] == "true"
        seen.canaries |= tokens_of(project) | set(browser.cookies.values())
        with project.database.connect("supabase_admin") as admin:  # so that it is renewed on the way
            admin.execute("update public.social_accounts set token_expires_at = now()")
        request = {"userId": browser.user.id, "selectedOptions": [option], "captions": {"universal": "hello"}}
        enqueued = await api.post("/api/publications/enqueue", json=request, headers=browser.user.headers)
        await api.post("/api/queue/process", headers=INTERNAL)
        seen.canaries |= tokens_of(project)
        listed = await api.get("/api/accounts", headers=browser.user.headers)
        (account,) = listed.json()["items"]
        let_go = await api.delete(f"/api/accounts/{account['id']}", headers=browser.user.headers)
        seen.answers += [enqueued.text, listed.text, let_go.text]


async def quote(request: Request) -> Response:
    """Refuse as some platforms do: with the token in the words."""
    token = request.headers["authorization"].partition(" ")[2]
    error = {"code": 190, "message": f"Malformed access token {token}", "type": "OAuthException"}
    return JSONResponse({"error": error, "detail": f"bad token {token}", "title": token}, status_code=401)


@pytest.mark.parametrize(("quoting", "ends"), [(False, "completed"), (True, "failed")])
async def test_no_token_is_anywhere_but_in_the_vault(
    project: Project, new_app: NewApp, providers: str, logs: Logs, libraries: list[str], quoting: bool, ends: str
) -> None:
    seen = Seen()
    async with serving(Starlette(routes=[Route("/{path:path}", quote, methods=["GET", "POST"])])) as refusing:
        app = new_app(
            site_url=SITE,
            accounts_page="/contas",
            oauth_base_url=f"{providers}/oauth",
            x_base_url=refusing if quoting else f"{providers}/x",
            facebook_base_url=refusing if quoting else f"{providers}/facebook",
            **client_settings(),
        )
        async with client_of(app) as api:
            await live_and_leave(project, api, seen)
    assert [row["status"] for row in project.jobs()] == [ends, ends]
    assert len(seen.canaries) >= 9, "of X two tokens, twice; of Facebook two, and one more; and a cookie each"
    places = {
        "rows": rows_outside_the_vault(project),
        "log": logs.stream.getvalue(),
        "libraries": "\n".join(libraries),
        "answers": "\n".join(seen.answers),
    }
    assert all(places.values())
    assert not {place for place, text in places.items() if any(canary in text for canary in seen.canaries)}
