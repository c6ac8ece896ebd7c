"""What a test holds: the project, the people signed in to it, and its clock."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx
import psycopg
from supabase import AsyncClient, AsyncClientOptions, Client, ClientOptions, acreate_client, create_client

from devstack.cluster import SUPERUSER
from devstack.cron_runs import RunResult
from devstack.faults import Faults
from devstack.services import Site

PASSWORD = "correct horse battery staple"  # noqa: S105 - of people who live as long as a test


@dataclass(frozen=True, slots=True)
class User:
    """Somebody signed in.

    Attributes:
        token: the access token, for your own HTTP calls.
        client: the official client, signed in.
    """

    id: str
    email: str
    token: str
    client: Client = field(repr=False)


class Project:
    """A running Supabase project with a database of its own."""

    def __init__(self, site: Site, run_job: Callable[[str], RunResult]) -> None:
        self._site = site
        self._run_job = run_job
        self._open = contextlib.ExitStack()
        self._numbers = itertools.count(1)
        self.api_url = site.api_url
        """What clients call the project's URL."""
        self.db_url = site.dsn_for("postgres")
        """Connection URL of the database, as role postgres."""
        self.superuser_url = site.dsn_for(SUPERUSER)
        """The same as the superuser, who may see and change everything."""
        self.functions_url = site.functions_url
        """A free address at which to serve the app's own HTTP functions."""
        self.publishable_key = site.keys.publishable_key
        self.secret_key = site.keys.secret_key
        self.jwt_secret = site.keys.jwt_secret

    def connect(self) -> psycopg.Connection:
        """A new autocommit connection as role postgres; close it, or use it in a `with`."""
        return psycopg.connect(self.db_url, autocommit=True)

    def client(self, key: str | None = None) -> Client:
        """The official client, for anybody (`key`: for whom the key stands for); closed after the test."""
        connections = self._open.enter_context(httpx.Client())
        options = ClientOptions(httpx_client=connections, auto_refresh_token=False, persist_session=False)
        return create_client(self.api_url, key or self.publishable_key, options)

    def sign_up(self, email: str | None = None) -> User:
        """A new user, signed in; without `email`, one that nobody else has."""
        client = self.client()
        answer = client.auth.sign_up({"email": email or f"user{next(self._numbers)}@example.com", "password": PASSWORD})
        if answer.session is None or answer.user is None:
            raise RuntimeError("signing up gave no session; are confirmations required?")
        return User(answer.user.id, str(answer.user.email), answer.session.access_token, client)

    @contextlib.asynccontextmanager
    async def async_client(self, user: User | None = None) -> AsyncIterator[AsyncClient]:
        """The official async client, with Realtime; signed in as `user`, if one is given."""
        async with httpx.AsyncClient() as connections:
            options = AsyncClientOptions(httpx_client=connections, auto_refresh_token=False, persist_session=False)
            client = await acreate_client(self.api_url, self.publishable_key, options)
            if user is not None:
                await client.auth.sign_in_with_password({"email": user.email, "password": PASSWORD})
            try:
                yield client
            finally:
                await client.realtime.close()

    def run_cron_job(self, jobname: str) -> RunResult:
        """Run a job of `cron.schedule` now, and wait for its end.

        Raises:
            LookupError: no active job has that name.
        """
        return self._run_job(jobname)

    def close(self) -> None:
        """Close the clients that were made."""
        self._open.close()


class Clock:
    """The project's clock: cron's, and the app's own where `devstack_clock_sql` says how to move it."""

    def __init__(self, faults: Faults, superuser_url: str, statement: str) -> None:
        self._faults = faults
        self._url = superuser_url
        self._statement = statement
        self._ahead = 0.0

    def step(self, seconds: float) -> None:
        """Step by so many seconds, forward or, if negative, back."""
        self._set_ahead(self._ahead + seconds)

    def set(self, moment: datetime) -> None:
        """Step to `moment`, which must have a time zone."""
        if moment.tzinfo is None:
            raise ValueError("the moment needs a time zone, for instance datetime(2026, 3, 8, 2, 0, tzinfo=UTC)")
        self._set_ahead((moment - datetime.now(UTC)).total_seconds())

    def _set_ahead(self, seconds: float) -> None:
        self._faults.cron.step_clock(seconds - self._ahead)
        self._ahead = seconds
        if self._statement:
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(self._statement.encode(), {"seconds": seconds})
