"""Renewing a platform's tokens, and handing them back when an account is disconnected. Locks are the caller's."""

from datetime import datetime
from typing import Any

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.oauth.calls import OAuthCalls, OAuthMisconfigured, OAuthRefused
from functions.platforms.oauth.grants import ask_tokens, exchange
from functions.platforms.oauth.meta import page_token
from functions.platforms.oauth.network import App, Network, Tokens
from functions.platforms.oauth.networks import FACEBOOK_SCOPES, INSTAGRAM_SCOPES, app_of, graph_of, network_of
from functions.settings import Settings


class Renewer:
    """Knows how the tokens of one account are renewed.

    Args:
        http: the client for the outside.
        settings: the operator's apps.
        platform: whose tokens they are.
        credentials: the account as the database gives it to the worker.
    """

    def __init__(self, http: httpx.AsyncClient, settings: Settings, platform: str, credentials: JsonObject) -> None:
        self._settings = settings
        self._calls = OAuthCalls(http, settings)
        self._network = network_of(platform, settings, kind=credentials.get("kind") or "")
        self._app = app_of(self._network, settings)

    @property
    def early_seconds(self) -> float:
        """How long before its end a token of this platform is best renewed."""
        return self._network.refresh_early_seconds

    def can_renew(self, credentials: JsonObject) -> bool:
        """Whether there is anything to renew with: the operator's app, and a token for it."""
        match self._network.refresh:
            case "refresh_token":
                return self._app is not None and bool(credentials.get("refresh_token"))
            case "page_token":
                return bool(credentials.get("user_token") and _page_id(credentials))
            case "same_token":
                return True

    async def renew(self, credentials: JsonObject) -> tuple[JsonObject, datetime | None]:
        """New tokens as `store_refreshed` takes them, and when the access token ends.

        Raises:
            OAuthFailed: one of its children.
        """
        if self._network.refresh == "page_token":
            graph = graph_of(self._settings)
            token = await page_token(self._calls, graph, credentials["user_token"], _page_id(credentials))
            return {"access_token": token}, None
        tokens = await self._renewed(credentials)
        return {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}, tokens.expires_at

    async def _renewed(self, credentials: JsonObject) -> Tokens:
        if self._network.renewal:
            app = self._app or App("")  # it needs none
            return await exchange(self._calls, self._network.renewal, app, credentials["access_token"])
        if self._app is None:
            raise OAuthMisconfigured("not_configured")
        form = {"grant_type": "refresh_token", "refresh_token": credentials["refresh_token"]}
        return await ask_tokens(self._calls, self._network, self._app, form)


async def revoke(
    calls: OAuthCalls, settings: Settings, platform: str, credentials: JsonObject, *, shared: bool
) -> bool:
    """Tell the platform to forget an account's tokens; False where it has no call for that, or nothing to call with.

    Args:
        calls: how to call.
        settings: the operator's apps.
        platform: whose tokens they are.
        credentials: the account with its tokens.
        shared: whether another account of the user's stands on the same grant of Facebook's, which then must stay.

    Raises:
        OAuthFailed: one of its children.
    """
    network = network_of(platform, settings, kind=credentials.get("kind") or "")
    app = app_of(network, settings)
    if network.revoke_url is None:
        return False
    if network.refresh == "page_token":
        return await _revoke_rights(calls, network, credentials.get("user_token"), shared=shared)
    if app is None:
        return False
    form, basic = _revocation(network, app, credentials)
    await calls.post(network.revoke_url, form, basic=basic)
    return True


def _revocation(network: Network, app: App, credentials: JsonObject) -> tuple[dict[str, str], tuple[str, str] | None]:
    """TikTok and LinkedIn take the access token; elsewhere the refresh token takes the other one with it."""
    token: str = credentials["access_token"]
    if network.app in {"youtube", "x"}:
        token = credentials.get("refresh_token") or token
    form = {"token": token}
    if network.app == "youtube":
        return form, None
    form[network.client_parameter] = app.client_id
    if network.basic:
        return form, (app.client_id, app.client_secret) if app.client_secret else None
    return form | {"client_secret": app.client_secret}, None


async def _revoke_rights(calls: OAuthCalls, network: Network, user_token: Any, *, shared: bool) -> bool:
    if not user_token or network.revoke_url is None:
        return False
    if not shared:
        await calls.delete(network.revoke_url, bearer=user_token)
        return True
    both = set(FACEBOOK_SCOPES) & set(INSTAGRAM_SCOPES)
    for right in network.scopes:
        if right not in both:
            await calls.delete(f"{network.revoke_url}/{right}", bearer=user_token)
    return True


def _page_id(credentials: JsonObject) -> str:
    return str((credentials.get("extra") or {}).get("page_id") or "")


def is_dead(refused: OAuthRefused) -> bool:
    """Whether a refused renewal means that the user must connect again, rather than that something odd was said."""
    return refused.is_final or refused.code in {"no_page", "account_not_offered"}
