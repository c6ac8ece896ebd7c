"""The Auth server itself: what it tells without being asked who you are, and what it declines."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import pytest
import pytest_asyncio
from supabase import AsyncClient, AsyncClientOptions, acreate_client

from devstack.auth.app import Auth
from devstack.auth.settings import AuthSettings
from devstack.cluster import Cluster
from devstack.gateway import gateway, listen, serving
from devstack.keys import local_keys
from tests.conftest import BARE, Database

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = local_keys()
PASSWORD = "correct horse"
DOMAIN = "wire-tests.example.com"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuthApi:
    """Auth as it is reached from outside, here or in a hosted project."""

    url: str
    http: httpx.AsyncClient
    anon_key: str
    service_role_key: str

    async def client(self, key: str | None = None) -> AsyncClient:
        """A new official client, as the holder of `key`, or of the anon key."""
        options = AsyncClientOptions(httpx_client=self.http, auto_refresh_token=False)
        return await acreate_client(self.url, key or self.anon_key, options)

    async def call(
        self, method: str, path: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        """One plain request, with the older API version unless a header says otherwise."""
        bearer = self.anon_key if token is None else token
        headers = {"apikey": self.anon_key, "Authorization": f"Bearer {bearer}", **headers}
        content = body if isinstance(body, bytes) else json.dumps(body) if body is not None else None
        return await self.http.request(method, f"{self.url}/auth/v1{path}", content=content, headers=headers)

    async def sign_up(self, **fields: object) -> Json:
        """A session of a new user."""
        return self.good(await self.call("POST", "/signup", {"email": new_email(), "password": PASSWORD, **fields}))

    async def sign_in(self, user: Json, password: str = PASSWORD) -> Json:
        """One more session of this user."""
        return self.good(await self.try_password(user["email"], password))

    async def try_password(self, email: str, password: str = PASSWORD) -> httpx.Response:
        """Try to sign in."""
        return await self.call("POST", "/token?grant_type=password", {"email": email, "password": password})

    async def refresh(self, token: str) -> httpx.Response:
        """Exchange a refresh token."""
        return await self.call("POST", "/token?grant_type=refresh_token", {"refresh_token": token})

    async def admin(self, method: str, path: str, body: object = None) -> httpx.Response:
        """A request of the service role below `/admin/users`."""
        return await self.call(method, f"/admin/users{path}", body, token=self.service_role_key)

    @staticmethod
    def good(answer: httpx.Response) -> Json:
        """The body of an answer that must be a success."""
        assert answer.is_success, answer.text
        body: Json = answer.json()
        return body


@dataclass(frozen=True, slots=True)
class Project(AuthApi):
    """A running project: its Auth behind the real gateway, and its database."""

    database: Database

    def execute(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run SQL as the owner of schema auth; rows, if there are any."""
        with self.database.connect("supabase_auth_admin") as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def running_project(cluster: Cluster, **settings: Any) -> AsyncIterator[Project]:
    """Serve Auth on a free port, on a database of its own; the tests of a file share it, each with its own users."""
    database = Database(cluster, f"auth_{uuid.uuid4().hex}")
    cluster.clone(BARE, database.name)
    listener = listen(0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    auth = Auth(
        AuthSettings(
            db_dsn=database.dsn("supabase_auth_admin"),
            jwt_secret=KEYS.jwt_secret,
            issuer=f"{url}/auth/v1",
            **{"bcrypt_cost": 4, **settings},
        )
    )
    await auth.start()
    try:
        async with (
            serving(gateway({"/auth/v1": auth}, KEYS, ""), listener),
            httpx.AsyncClient() as http,
        ):
            yield Project(url, http, KEYS.anon_key, KEYS.service_role_key, database)
    finally:
        await auth.stop()
        cluster.drop(database.name)


def new_email() -> str:
    """An address that nobody has."""
    return f"{uuid.uuid4().hex}@{DOMAIN}"


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of an error in the older shape."""
    body = answer.json()
    assert body["code"] == answer.status_code
    assert answer.headers["x-sb-error-code"] == body["error_code"]
    return answer.status_code, body["error_code"], body["msg"]


def claims_of(session: Json) -> Json:
    """What is in a session's access token, its signature checked."""
    claims: Json = jwt.decode(session["access_token"], KEYS.jwt_secret, ["HS256"], audience="authenticated")
    return claims


def signed(**claims: object) -> str:
    """A token with the project's signature that Auth did not make."""
    return jwt.encode(claims, KEYS.jwt_secret, "HS256")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def project(cluster: Cluster) -> AsyncIterator[Project]:
    async with running_project(cluster) as running:
        yield running


async def test_it_tells_how_it_is_set_up(project: Project) -> None:
    health = project.good(await project.call("GET", "/health"))
    settings = project.good(await project.call("GET", "/settings"))
    assert health["name"] == "GoTrue"
    assert settings["mailer_autoconfirm"] is True
    assert settings["external"]["email"] is True
    assert settings["external"]["anonymous_users"] is False


async def test_the_publishable_key_does_for_the_anon_key(project: Project) -> None:
    client = await project.client(KEYS.publishable_key)
    assert (await client.auth.sign_up({"email": new_email(), "password": PASSWORD})).session is not None


async def test_it_publishes_no_keys_because_the_secret_is_shared(project: Project) -> None:
    answer = await project.call("GET", "/.well-known/jwks.json")
    assert answer.json() == {"keys": []}
    assert answer.headers["cache-control"] == "public, max-age=600"


@pytest.mark.parametrize(
    ("method", "path", "feature"),
    [
        ("POST", "/otp", "one-time passwords"),
        ("POST", "/recover", "password recovery by mail"),
        ("POST", "/factors/1/verify", "multi-factor authentication"),
        ("POST", "/admin/generate_link", "POST /admin/generate_link"),
        ("DELETE", "/user", "DELETE /user"),
        ("POST", "/token?grant_type=pkce", "the grant type pkce"),
        ("GET", "/admin/users?filter=ana", "filtering and sorting users"),
    ],
)
async def test_what_it_cannot_do_it_declines_by_name(project: Project, method: str, path: str, feature: str) -> None:
    answer = await project.call(method, path, {}, token=KEYS.service_role_key)
    assert refusal(answer) == (501, "not_implemented", f"Auth of devstack does not serve {feature}")


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("insert into profiles values (new.id)", 'relation "profiles" does not exist'),
        ("insert into public.seats values (1), (1)", 'unique constraint "seats_pkey"'),
        ("raise exception 'closed on Sundays'", "closed on Sundays"),
    ],
)
async def test_a_failing_trigger_of_the_project_is_told_and_nothing_is_kept(
    project: Project, statement: str, complaint: str
) -> None:
    email = new_email()
    with project.database.connect("postgres") as connection:
        connection.execute(f"""
            create table if not exists public.seats (number int primary key);
            create function public.greet() returns trigger language plpgsql security definer as $$
            begin {statement}; return new; end $$;
            create trigger greet after insert on auth.users for each row execute function public.greet();
        """)
        try:
            answer = await project.call("POST", "/signup", {"email": email, "password": PASSWORD})
        finally:
            connection.execute("drop function public.greet() cascade")
    status, code, message = refusal(answer)
    assert (status, code) == (500, "unexpected_failure")
    assert complaint in message
    assert project.execute("select count(*) from auth.users where email = %s", email) == [(0,)]


async def test_nobody_notices_that_the_database_dropped_the_connections(project: Project) -> None:
    session = await project.sign_up()
    with project.database.connect("supabase_admin") as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'supabase_auth_admin'"
            " and datname = current_database()"
        )
    await project.sign_in(session["user"])
