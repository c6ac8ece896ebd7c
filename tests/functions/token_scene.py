"""A user, an account and a scripted platform: what the tests of tokens in the handler run it with."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx

from devstack.providers.oauth_grants import Grant
from functions.handlers.publish_post import PublishPost, publish_post
from functions.jobs.accounts import AccountKeeper
from functions.jobs.context import ClaimedJob, Context
from functions.jobs.outcomes import JobError, JsonObject, Outcome
from functions.platforms.answers import Auth, CallFailed, Pending, Published, Ready
from functions.platforms.post import Account, PollPlan, Post
from functions.worker.rest_ledger import RestLedger
from tests.functions.accounts_support import Platforms, client_settings
from tests.functions.conftest import Logs, Project, User
from tests.functions.publishing import new_job

REFUSED = CallFailed(Auth(JobError("token_bad", "The platform says the token is bad.")))
FILE = {"name": "a.mp4", "size": 10, "type": "video/mp4", "url": "https://media.example/a.mp4"}
OPTIONS = {"x": "x_post", "youtube": "youtube_video", "facebook": "facebook_video", "threads": "threads_post"}
SCOPES = ("tweet.write", "pages_manage_posts", "threads_content_publish")


@dataclass
class ScriptedPlatform:
    """Answers each step with what was written down for it, then with success; notes step and token."""

    script: dict[str, deque[Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    bad_tokens: set[str] = field(default_factory=set)
    name: str = "Scripted"
    polling: PollPlan = field(default_factory=lambda: PollPlan((5.0,), 20))

    def answer(self, step: str, account: Account, success: Any) -> Any:
        self.calls.append((step, account.access_token))
        planned = self.script.get(step)
        said = planned.popleft() if planned else REFUSED if account.access_token in self.bad_tokens else success
        if isinstance(said, Exception):
            raise said
        return said

    def tokens(self, step: str) -> list[str]:
        return [token for name, token in self.calls if name == step]

    async def prepare(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Any:
        return self.answer("prepare", account, Ready({"upload": "u1", **remote}))

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Any:
        return self.answer("finish", account, Pending(remote, 5))

    async def poll(self, post: Post, account: Account, remote: JsonObject, looks: int) -> Any:
        return self.answer("poll", account, Published({"id": "post-1"}))


@dataclass
class Run:
    """The worker's side of a context, over the real accounts."""

    ledger: RestLedger
    user: UUID
    commits: list[JsonObject] = field(default_factory=list)

    async def commit(self, checkpoint: JsonObject, *, reconcilable: bool) -> None:
        self.commits.append(checkpoint)

    def note_progress(self, percent: float, note: str | None) -> None:
        pass

    async def credentials(self, platform: str) -> JsonObject | None:
        return await self.ledger.credentials(self.user, platform)

    @property
    def accounts(self) -> AccountKeeper:
        return self.ledger


@dataclass
class Scene:
    """One user, one account, one platform."""

    project: Project
    platforms: Platforms
    platform: ScriptedPlatform
    user: User
    ledger: RestLedger
    http: httpx.AsyncClient
    logs: Logs
    apps: dict[str, str] = field(default_factory=client_settings)
    network: str = "x"

    def connect(self, network: str = "x", *, lives: timedelta | None = None, **secrets: str) -> str:
        """An account whose access token is `old`; its refresh token is good unless `secrets` has another."""
        self.network = network
        good = self.platforms.oauth.grants.new_refresh_token(Grant(network, "1", SCOPES))
        ends = (datetime.now(UTC) + lives).isoformat() if lives is not None else None
        tokens = {"access_token": "old", "refresh_token": good, **secrets}
        extra = {"page_id": "1"} if network == "facebook" else {}
        account = [self.user.id, network, "1", "Ana", tokens, "", extra]
        account_id: UUID = self.project.call("connect_account", *account)
        if ends:
            with self.project.database.connect("supabase_admin") as admin:
                admin.execute("update public.social_accounts set token_expires_at = %s", (ends,))
        return str(account_id)

    async def run(self, job: ClaimedJob | None = None, run: Run | None = None) -> Outcome:
        settings = self.project.settings(**self.platforms.settings, **self.apps)
        lease = run or Run(self.ledger, UUID(self.user.id))
        context = Context(self.http, settings, self.logs.logger, 0.0, lease, reconcilable=True)
        content: JsonObject = {"mediaFiles": [] if self.network in {"x", "threads"} else [FILE], "caption": "hello"}
        if self.network == "youtube":
            content["settings"] = {"title": "hello"}
        payload = {"option": OPTIONS[self.network], "platform": self.network, "content": content}
        return await publish_post(job or new_job(), PublishPost.model_validate(payload), context)

    @property
    def renewals(self) -> int:
        return sum(what == "refresh" for _, what in self.platforms.oauth.grants.done)

    def account(self) -> tuple[str, str | None]:
        row = self.project.connection.execute("select status, reconnect_reason from public.social_accounts").fetchone()
        assert row is not None
        return row[0], row[1]

    def shift_clock(self, seconds: float) -> None:
        self.project.connection.execute(
            "insert into filaviva.clock_shift (shift) values (make_interval(secs => %s))"
            " on conflict (only_row) do update set shift = clock_shift.shift + excluded.shift",
            (seconds,),
        )
