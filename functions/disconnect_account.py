"""`DELETE /api/accounts/{id}`: forget an account of the signed-in user, and revoke its tokens at the platform."""

import asyncio
import time
from typing import Any
from uuid import UUID

import functions_framework.aio
from starlette.responses import JSONResponse, Response

from filaviva.rpc import Rpc
from functions.jobs.outcomes import JsonObject
from functions.platforms.oauth.calls import OAuthCalls, OAuthFailed
from functions.platforms.oauth.renewal import revoke
from functions.web.endpoint import Call, endpoint
from functions.web.errors import WebError, bad_request
from functions.web.signed_in import read_own_accounts
from functions.worker.rest_ledger import rest_ledger
from functions.worker.web_errors import ledger_errors

REVOKE_SECONDS = 10
"""What the platform gets: the account is forgotten here whatever it answers."""

RENEWAL_SECONDS = 10
"""How long a worker that is renewing the tokens is waited for: what it stores is what there is to revoke."""
HOLD_SECONDS = 60
"""How long nobody may renew them: more than revoking and forgetting take."""
LOOK_SECONDS = 0.25

ON_FACEBOOK = frozenset({("facebook", "page"), ("instagram", "facebook_login")})
"""Accounts that were connected through Facebook: they share one grant of the user's."""


@functions_framework.aio.http
@endpoint("DELETE")
async def disconnect_account(call: Call) -> Response:
    """Revoke, then forget. `revoked` says whether the platform has taken its tokens back."""
    account_id = _id(call)
    user_id, database, accounts = await read_own_accounts(call)
    account = next((each for each in accounts if each["id"] == str(account_id)), None)
    if account is None:
        hint = "Read /api/accounts: it lists those that are connected."
        raise WebError(404, "unknown_account", f"You have no account {account_id}.", hint)
    others = [each for each in accounts if each is not account]
    revoked = await call.services.finish(_disconnect(call, user_id, database, account, others))
    return JSONResponse({"id": str(account_id), "platform": account["platform"], "revoked": revoked})


async def _disconnect(
    call: Call, user_id: UUID, database: Rpc, account: dict[str, Any], others: list[dict[str, Any]]
) -> bool:
    with ledger_errors():
        credentials = await _last_credentials(call, user_id, account)
    revoked = False
    if credentials:
        revoked = await _revoke(
            call, account, credentials, shared=_on_facebook(account) and any(map(_on_facebook, others))
        )
    await database.disconnect_account(UUID(account["id"]))
    call.log.info(
        "an account was disconnected", platform=account["platform"], account_id=account["id"], revoked=revoked
    )
    return revoked


async def _last_credentials(call: Call, user_id: UUID, account: dict[str, Any]) -> JsonObject | None:
    """The account with its tokens, which from now on nobody replaces; None when there are none to revoke."""
    ledger = call.services.once(rest_ledger)
    credentials = await ledger.credentials(user_id, account["platform"])
    ends = time.monotonic() + RENEWAL_SECONDS
    while credentials and credentials["account_id"] == account["id"] and "access_token" in credentials:
        right = await ledger.begin_refresh(UUID(account["id"]), credentials["token_version"], HOLD_SECONDS)
        if right.state == "busy" and time.monotonic() < ends:
            await asyncio.sleep(LOOK_SECONDS)
        elif right.state == "renewed":
            credentials = right.credentials
        else:
            return credentials if right.state in {"yours", "busy"} else None
    return None


async def _revoke(call: Call, account: dict[str, Any], credentials: dict[str, Any], *, shared: bool) -> bool:
    calls = OAuthCalls(call.services.outside, call.services.settings)
    try:
        async with asyncio.timeout(REVOKE_SECONDS):
            return await revoke(calls, call.services.settings, account["platform"], credentials, shared=shared)
    except (OAuthFailed, TimeoutError) as problem:
        code = problem.code if isinstance(problem, OAuthFailed) else "no_answer"
        call.log.warning("the tokens could not be revoked", platform=account["platform"], code=code)
        return False


def _on_facebook(account: dict[str, Any]) -> bool:
    return (account["platform"], account["kind"]) in ON_FACEBOOK


def _id(call: Call) -> UUID:
    text = call.request.url.path.rstrip("/").rpartition("/")[2]
    try:
        return UUID(text)
    except ValueError:
        hint = "Use the id that /api/accounts shows."
        raise bad_request("invalid_field", "The id in the address is not a uuid.", hint, "id") from None
