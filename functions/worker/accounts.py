"""The accounts of users as the worker and the account endpoints ask for them, by the names of the SQL functions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from functions.jobs.accounts import RefreshRight
from functions.jobs.outcomes import JsonObject


class AccountCalls(ABC):
    """The part of the ledger that is about accounts: an `AccountKeeper`, and what connecting needs."""

    @abstractmethod
    async def _call(self, function: str, arguments: Mapping[str, Any]) -> bytes | str:
        """Call a function of schema public; its answer is JSON."""

    async def credentials(self, user_id: UUID, platform: str) -> JsonObject | None:  # noqa: D102 - as in Ledger
        answer = await self._call("account_credentials", {"p_user_id": user_id, "p_platform": platform})
        account: JsonObject | None = orjson.loads(answer)
        return account

    async def begin_refresh(  # noqa: D102 - as in AccountKeeper, here and below
        self, account_id: UUID, token_version: int, lease_seconds: int
    ) -> RefreshRight:
        arguments = {"p_account_id": account_id, "p_token_version": token_version, "p_lease_seconds": lease_seconds}
        return RefreshRight.model_validate_json(await self._call("begin_refresh", arguments))

    async def store_refreshed(  # noqa: D102
        self, account_id: UUID, fence: int, secrets: JsonObject, expires_at: datetime | None
    ) -> JsonObject | None:
        arguments = {
            "p_account_id": account_id,
            "p_fence": fence,
            "p_secrets": secrets,
            "p_expires_at": _text(expires_at),
        }
        stored: JsonObject | None = orjson.loads(await self._call("store_refreshed", arguments))
        return stored

    async def abandon_refresh(self, account_id: UUID, fence: int) -> None:  # noqa: D102
        await self._call("abandon_refresh", {"p_account_id": account_id, "p_fence": fence})

    async def mark_reconnect(self, account_id: UUID, token_version: int, reason: str) -> None:  # noqa: D102
        arguments = {"p_account_id": account_id, "p_token_version": token_version, "p_reason": reason}
        await self._call("mark_reconnect", arguments)

    async def begin_connection(
        self, user_id: UUID, platform: str, state_hash: str, browser_hash: str, verifier: str, wanted: str | None
    ) -> None:
        """Keep a sign-in that a user begins at a platform, for ten minutes."""
        arguments = {
            "p_user_id": user_id,
            "p_platform": platform,
            "p_state_hash": state_hash,
            "p_browser_hash": browser_hash,
            "p_verifier": verifier,
            "p_wanted": wanted,
        }
        await self._call("begin_connection", arguments)

    async def take_connection(self, platform: str, state_hash: str, browser_hash: str) -> JsonObject | None:
        """The sign-in with this state, once: `user_id`, `verifier`, `wanted`; None when it is not to be had."""
        arguments = {"p_platform": platform, "p_state_hash": state_hash, "p_browser_hash": browser_hash}
        taken: JsonObject | None = orjson.loads(await self._call("take_connection", arguments))
        return taken

    async def connect_account(
        self,
        user_id: UUID,
        platform: str,
        *,
        external_id: str,
        display_name: str,
        secrets: JsonObject,
        kind: str,
        extra: JsonObject,
        scopes: Sequence[str],
        expires_at: datetime | None,
    ) -> UUID:
        """Store an account with its tokens, over an earlier one; its id."""
        arguments = {
            "p_user_id": user_id,
            "p_platform": platform,
            "p_external_id": external_id,
            "p_display_name": display_name,
            "p_secrets": secrets,
            "p_kind": kind,
            "p_extra": extra,
            "p_scopes": list(scopes),
            "p_expires_at": _text(expires_at),
        }
        return UUID(str(await self._answer_text("connect_account", arguments)))

    async def _answer_text(self, function: str, arguments: Mapping[str, Any]) -> str:
        """An answer that is one value; PostgREST writes it as JSON, PostgreSQL as it is."""
        answer = await self._call(function, arguments)
        return (answer.decode() if isinstance(answer, bytes) else answer).strip('"')


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
