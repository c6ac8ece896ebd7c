"""`GET /api/accounts/{platform}/callback`: a browser comes back from a platform, and the account is stored.

People arrive here, so every end is a redirect to the site: with `connected`, or with `error` and a code that
docs/accounts.md lists. Where to is fixed by the settings; nothing of the request goes into it.
"""

from urllib.parse import urlencode
from uuid import UUID

import functions_framework.aio
from starlette.responses import RedirectResponse, Response

from functions.jobs.outcomes import JsonObject
from functions.platforms.oauth.browser import callback_address, cookie_name, digest, site_of
from functions.platforms.oauth.calls import OAuthCalls, OAuthMisconfigured, OAuthRefused, OAuthUnavailable
from functions.platforms.oauth.grants import connect
from functions.platforms.oauth.networks import PLATFORMS, app_of, network_of
from functions.web.endpoint import Call, endpoint
from functions.worker.ledger import LedgerRefused, LedgerUnavailable
from functions.worker.rest_ledger import rest_ledger

LONGEST_PARAMETER = 4096
SAID_BY_US = frozenset(
    {"account_not_offered", "missing_rights", "no_account", "no_channel", "no_instagram_account", "no_page"}
)
"""Refusals of ours that a user can do something about; every other one is `sign_in_refused`."""

USER_SAID_NO = frozenset({"access_denied", "user_cancelled_login", "user_cancelled_authorize"})
"""What the platforms call it; the last two are LinkedIn's."""


class NotConnected(Exception):  # noqa: N818 - it says how it ended
    """The sign-in came to nothing, for the reason `code`."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@functions_framework.aio.http
@endpoint("GET")
async def complete_connection(call: Call) -> Response:
    """Check the state, trade the code, store the account, and send the browser to the accounts page."""
    site = site_of(call.services.settings)
    name = call.request.url.path.rstrip("/").split("/")[-2]
    platform = name if name in PLATFORMS else None
    try:
        if platform is None:
            raise NotConnected("unknown_platform")
        # A code is good once: whoever closes the tab now shall have their account all the same.
        await call.services.finish(_complete(call, site, platform))
        result = {"platform": platform, "connected": "true"}
    except NotConnected as problem:
        call.log.warning("an account was not connected", platform=platform, code=problem.code)
        result = {**({"platform": platform} if platform else {}), "error": problem.code}
    address = f"{site}{call.services.settings.accounts_page}?{urlencode(result)}"
    response = RedirectResponse(address, 303, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"})
    if platform:
        secure = site.startswith("https://")
        response.delete_cookie(
            cookie_name(call.services.settings, platform), httponly=True, secure=secure, samesite="lax"
        )
    return response


async def _complete(call: Call, site: str, platform: str) -> None:
    try:
        begun = await _taken(call, platform)
        code = _code(call)
        await _connect(call, site, platform, begun, code)
    except (LedgerUnavailable, OAuthUnavailable) as problem:
        call.log.warning("a sign-in got no answer", problem=str(problem))
        raise NotConnected("try_again_later") from problem
    except OAuthMisconfigured as problem:
        call.log.error("the platform does not accept the operator's app", platform=platform, code=problem.code)
        raise NotConnected("platform_not_configured") from problem
    except OAuthRefused as refused:
        call.log.warning("the platform refused a sign-in", platform=platform, code=refused.code)
        raise NotConnected(refused.code if refused.code in SAID_BY_US else "sign_in_refused") from refused
    except LedgerRefused as refused:
        call.log.error("the account could not be stored", platform=platform, code=refused.code)
        raise NotConnected("not_stored") from refused


async def _taken(call: Call, platform: str) -> JsonObject:
    """The sign-in that this browser began; taken first of all, so that a state is never good twice."""
    state = call.request.query_params.get("state", "")
    browser = call.request.cookies.get(cookie_name(call.services.settings, platform), "")
    ledger = call.services.once(rest_ledger)
    taken = None
    if 0 < len(state) <= LONGEST_PARAMETER:
        taken = await ledger.take_connection(platform, digest(state), digest(browser))
    if taken is None:
        raise NotConnected("state_invalid")
    return taken


def _code(call: Call) -> str:
    query = call.request.query_params
    if "error" in query:
        raise NotConnected("access_denied" if query["error"] in USER_SAID_NO else "sign_in_refused")
    code = query.get("code", "")
    if not 0 < len(code) <= LONGEST_PARAMETER:
        raise NotConnected("sign_in_refused")
    return code


async def _connect(call: Call, site: str, platform: str, begun: JsonObject, code: str) -> None:
    settings = call.services.settings
    network = network_of(platform, settings, wanted=begun["wanted"])
    app = app_of(network, settings)
    if app is None:
        raise NotConnected("platform_not_configured")
    connection = await connect(
        OAuthCalls(call.services.outside, settings),
        network,
        app,
        code=code,
        verifier=begun["verifier"],
        redirect_uri=callback_address(site, platform),
        wanted=begun["wanted"],
    )
    identity = connection.identity
    account_id = await call.services.once(rest_ledger).connect_account(
        UUID(begun["user_id"]),
        platform,
        external_id=identity.external_id,
        display_name=identity.display_name,
        secrets=connection.secrets,
        kind=identity.kind,
        extra=identity.extra,
        scopes=connection.scopes,
        expires_at=connection.expires_at,
    )
    call.log.info("an account was connected", platform=platform, account_id=str(account_id))
