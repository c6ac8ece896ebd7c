"""One run's use of an account: its calls carry a token that lives, and a dead one is renewed once.

The right to renew is asked of the database, so that of all workers one renews and the others take what it stored.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from functions.jobs.accounts import RefreshRight
from functions.jobs.context import Context
from functions.jobs.outcomes import JobError, JsonObject
from functions.platforms.answers import Auth, CallFailed, TryAgain
from functions.platforms.oauth.calls import OAuthFailed, OAuthRefused, OAuthUnavailable
from functions.platforms.oauth.renewal import Renewer, is_dead
from functions.platforms.post import Account

T = TypeVar("T")

RENEW_SECONDS = 60
"""What the platform gets to renew a token, whatever the time limit of its other calls."""
LEASE_SECONDS = 90
"""How long the right to renew holds: so much longer that what the platform gave can be stored under it."""
STORING_SECONDS = LEASE_SECONDS - RENEW_SECONDS
"""For how long at least it is tried to store what the platform gave: the time in which a database restarts."""
STORE_AGAIN_SECONDS = 2
LAST_SECONDS = 60
"""A token that ends sooner is not begun with."""
BUSY_LOOK_SECONDS = 2
"""How soon to look again at first while another worker renews; that takes about one call to the platform."""
FINISHING_SECONDS = 1.5
"""What a renewal under way is given when the run is cut off: a rotated token that is not stored is lost."""


class AccountBusy(Exception):  # noqa: N818 - it says what to wait for
    """Another worker is renewing the account's tokens; look again after `after_seconds`."""

    def __init__(self, after_seconds: float) -> None:
        super().__init__("another worker is renewing the account's tokens")
        self.after_seconds = after_seconds


class AccountSession:
    """An account, for one run.

    Args:
        ctx: the run's context.
        platform: the account's platform.
        credentials: the account with its tokens, as `ctx.account` gave it.
    """

    def __init__(self, ctx: Context, platform: str, credentials: JsonObject) -> None:
        self._ctx = ctx
        self._platform = platform
        self._credentials = credentials
        self._renewer = Renewer(ctx.http, ctx.settings, platform, credentials)
        self._renewed = False

    @property
    def account(self) -> Account:
        """The account with its present token."""
        return Account.read(self._credentials)

    async def freshen(self) -> None:
        """Renew a token that is known to end soon, before it is used.

        Raises:
            AccountBusy: another worker is at it, and the token will not live that long.
            CallFailed: it cannot be renewed now (`TryAgain`), or never more (`Auth`).
        """
        if self._credentials.get("status") == "reconnect":
            raise CallFailed(self._dead())
        left = _seconds_left(self._credentials)
        if left is None or left > max(LAST_SECONDS, self._renewer.early_seconds):
            return
        if not self._renewer.can_renew(self._credentials):
            return  # the platform may be more generous than it said
        try:
            await self._replace(mark=left <= LAST_SECONDS)
        except (AccountBusy, CallFailed):
            if left <= LAST_SECONDS:
                raise
            self._renewed = False  # there is time, and a refusal is another matter

    async def call(self, step: Callable[[Account], Awaitable[T]]) -> T:
        """Do a step that may be repeated; when the platform refuses the token, do it again with another one.

        That is the one that another worker has stored since, or one that is renewed here, once.

        Raises:
            AccountBusy: another worker is renewing.
            CallFailed: the step failed; with `Auth` the account has been marked, and its owner must connect again.
        """
        while True:
            try:
                return await step(self.account)
            except CallFailed as failed:
                if not isinstance(failed.failure, Auth):
                    raise
                await self.replace_refused(failed.failure)

    async def replace_refused(self, refusal: Auth) -> None:
        """Get another token for one that the platform has refused.

        Raises:
            AccountBusy: another worker is renewing.
            CallFailed: as `freshen`; with the refusal itself where the token is one renewed here, or nothing can be.
        """
        if self._renewed:
            await self._mark("token_refused")
            raise CallFailed(refusal)
        await self._replace(mark=True, refusal=refusal)

    async def _replace(self, *, mark: bool, refusal: Auth | None = None) -> None:
        account_id, version = UUID(self._credentials["account_id"]), self._credentials["token_version"]
        right = await self._ctx.accounts.begin_refresh(account_id, version, LEASE_SECONDS)
        match right.state:
            case "renewed":
                self._credentials = right.credentials or self._credentials
            case "busy":  # the longer it takes, the likelier it is that the other worker has died
                wait = max(BUSY_LOOK_SECONDS, (LEASE_SECONDS - right.after_seconds) / 2)
                raise AccountBusy(min(wait, right.after_seconds))
            case "yours":
                self._renewed = True
                self._credentials = await _unbroken(self._renew(account_id, right, mark=mark, refusal=refusal))
            case "reconnect" | "gone":
                raise CallFailed(refusal or self._dead())

    async def _renew(self, account_id: UUID, right: RefreshRight, *, mark: bool, refusal: Auth | None) -> JsonObject:
        credentials = right.credentials or {}
        if not self._renewer.can_renew(credentials):
            await self._give_up(account_id, right, "token_refused", mark=mark)
            raise CallFailed(refusal or self._dead())
        try:
            secrets, expires_at = await self._new_tokens(credentials)
        except OAuthFailed as failed:
            self._ctx.log.warning("the account's token could not be renewed", platform=self._platform, code=failed.code)
            if isinstance(failed, OAuthRefused) and is_dead(failed):
                await self._give_up(account_id, right, "refresh_refused", mark=mark)
                raise CallFailed(refusal or self._dead()) from None
            await self._ctx.accounts.abandon_refresh(account_id, right.fence)
            raise CallFailed(TryAgain(self._not_renewed(failed))) from None
        stored = await self._store(account_id, right.fence, secrets, expires_at)
        if stored is None:  # connected again meanwhile, or renewed by another: what is stored is newer
            raise AccountBusy(BUSY_LOOK_SECONDS)
        self._ctx.log.info("the account's token was renewed", platform=self._platform)
        return stored

    async def _store(
        self, account_id: UUID, fence: int, secrets: JsonObject, expires_at: datetime | None
    ) -> JsonObject | None:
        """Store new tokens, whatever it takes: many platforms have killed the old ones with giving these."""
        ends = time.monotonic() + STORING_SECONDS
        while True:
            try:
                return await self._ctx.accounts.store_refreshed(account_id, fence, secrets, expires_at)
            except Exception as problem:
                if time.monotonic() >= ends:
                    raise
                problem_type = type(problem).__name__
                self._ctx.log.warning("the account's new token is not stored yet", problem=problem_type)
                await asyncio.sleep(STORE_AGAIN_SECONDS)

    async def _new_tokens(self, credentials: JsonObject) -> tuple[JsonObject, datetime | None]:
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                return await self._renewer.renew(credentials)
        except TimeoutError:
            raise OAuthUnavailable("no_answer") from None

    async def _give_up(self, account_id: UUID, right: RefreshRight, reason: str, *, mark: bool) -> None:
        if mark:
            await self._mark(reason)
        else:
            await self._ctx.accounts.abandon_refresh(account_id, right.fence)

    async def _mark(self, reason: str) -> None:
        account_id, version = UUID(self._credentials["account_id"]), self._credentials["token_version"]
        await self._ctx.accounts.mark_reconnect(account_id, version, reason)

    def _dead(self) -> Auth:
        return Auth(JobError("token_refused", f"The {self._platform} account's sign-in has ended."))

    def _not_renewed(self, failed: OAuthFailed) -> JobError:
        message = f"The {self._platform} account's token could not be renewed."
        return JobError("token_not_renewed", message, {"reason": failed.code})


async def _unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, and let it finish when the run is cut off meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_looked_at)
        await asyncio.wait({task}, timeout=FINISHING_SECONDS)
        raise


def _looked_at(task: "asyncio.Future[Any]") -> None:
    if not task.cancelled():
        task.exception()


def _seconds_left(credentials: JsonObject) -> float | None:
    """How long the token lives; None where that is not known."""
    text = credentials.get("expires_at")
    return (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds() if text else None
