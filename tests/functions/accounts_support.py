"""What the tests of accounts share: the sign-in double, a project that knows it, and a browser."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from devstack.cluster import Cluster
from devstack.providers.faults import Fault
from devstack.providers.oauth import OAuth
from devstack.providers.oauth_servers import CLIENT_ID, CLIENT_SECRET
from devstack.providers.server import serving
from devstack.providers.world import World
from functions.app import create_app
from tests.conftest import MIGRATED, Database
from tests.functions.conftest import Logs, Project, User, client_of, open_project

SITE = "https://app.example"
PLATFORMS = ("tiktok", "facebook", "instagram", "threads", "youtube", "x", "linkedin")


def client_settings(*apps: str) -> dict[str, str]:
    """The operator's registrations, all of them the one that the double knows."""
    values: dict[str, str] = {}
    for app in apps or tuple(name for name in PLATFORMS if name != "instagram"):
        values[f"{app}_client_{'key' if app == 'tiktok' else 'id'}"] = CLIENT_ID
        values[f"{app}_client_secret"] = CLIENT_SECRET
    return values


@dataclass
class Platforms:
    """The double, served at `url`, and every request that came to it."""

    oauth: OAuth = field(default_factory=lambda: OAuth(World()))
    seen: list[str] = field(default_factory=list)
    url: str = ""

    def app(self) -> Starlette:
        async def nothing(request: Request) -> Response:
            self.seen.append(f"nobody answers {request.method} {request.url.path}")
            return JSONResponse({"error": "not_found"}, status_code=404)

        rest = Route("/{path:path}", nothing, methods=["GET", "POST", "DELETE"])
        return Starlette(routes=[Mount("/oauth", routes=[*self.oauth.routes(), rest])])

    def order(self, step: str, mode: str, **rest: Any) -> None:
        fault = {"provider": "oauth", "step": step, "mode": mode, **rest}
        self.oauth.world.faults.put(Fault.model_validate(fault))

    @property
    def settings(self) -> dict[str, Any]:
        return {"site_url": SITE, "oauth_base_url": f"{self.url}/oauth", "accounts_page": "/contas"}


@dataclass
class Browser:
    """A browser at the site: it keeps cookies, signs in at platforms, and follows their redirects back."""

    api: httpx.AsyncClient
    user: User
    cookies: dict[str, str] = field(default_factory=dict)

    async def begin(self, platform: str, **query: str) -> httpx.Response:
        """Ask where to go."""
        answer = await self.api.get(f"/api/accounts/{platform}/connect", params=query, headers=self.user.headers)
        for name, value in answer.cookies.items():
            self.cookies[name] = value
        return answer

    async def agree(self, address: str, **double: str) -> str:
        """Open the platform's page and agree, or what `double` says; the address it sends us back to."""
        async with httpx.AsyncClient() as platform:
            url = httpx.URL(address).copy_merge_params({f"double_{name}": value for name, value in double.items()})
            answer = await platform.get(url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def come_back(self, address: str) -> httpx.Response:
        """Follow the platform's redirect to the callback."""
        path = address.removeprefix(SITE)
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return await self.api.get(path, headers={"Cookie": cookie} if cookie else {})

    async def connect(self, platform: str, **double: str) -> dict[str, str]:
        """The whole way; what the site is told at its end."""
        begun = await self.begin(platform)
        assert begun.status_code == 200, begun.text
        back = await self.agree(begun.json()["authorize_url"], **double)
        return told(await self.come_back(back))


def told(answer: httpx.Response) -> dict[str, str]:
    """What the redirect to the site says; it leads nowhere else."""
    assert answer.status_code == 303, answer.text
    location = answer.headers["location"]
    assert re.match(rf"{re.escape(SITE)}/contas\?", location), location
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


@dataclass
class Office:
    """A project, the double and applications, shared by the tests of a module; each of them begins with `reset`."""

    project: Project
    platforms: Platforms
    closing: AsyncExitStack
    logs: Logs = field(default_factory=Logs)
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    def reset(self) -> "Office":
        """No accounts, no sign-ins, no faults, no log; the clock goes right. Users stay: a test signs up its own."""
        self.project.connection.execute("delete from filaviva.account_connections")
        self.project.connection.execute("delete from public.social_accounts")
        self.project.connection.execute("delete from filaviva.clock_shift")
        self.platforms.oauth.forget()
        self.platforms.oauth.world.faults.waiting.clear()
        self.platforms.seen.clear()
        self.logs.stream.seek(0)
        self.logs.stream.truncate()
        return self

    def client(self, **settings: Any) -> httpx.AsyncClient:
        """A client of the functions with these settings."""
        key = str(sorted(settings.items()))
        if key not in self.clients:
            app = create_app(self.project.settings(**settings), self.logs.logger)
            self.clients[key] = client_of(app)
            self.closing.push_async_callback(app.state.services.close)
            self.closing.push_async_callback(self.clients[key].aclose)
        return self.clients[key]

    def browser(self) -> Browser:
        """The browser of a new user, where every app is configured."""
        return Browser(self.client(**self.platforms.settings, **client_settings()), self.project.sign_up())


@asynccontextmanager
async def open_office(cluster: Cluster) -> AsyncIterator[Office]:
    """An office with a database of its own."""
    platforms, name = Platforms(), f"accounts_{uuid4().hex[:8]}"
    cluster.clone(MIGRATED, name)
    try:
        async with (
            open_project(Database(cluster, name)) as project,
            serving(platforms.app()) as platforms.url,
            AsyncExitStack() as closing,
        ):
            yield Office(project, platforms, closing)
    finally:
        cluster.drop(name)
