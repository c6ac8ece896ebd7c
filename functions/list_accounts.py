"""`GET /api/accounts`: the signed-in user's accounts, and the platforms that can be connected here."""

import functions_framework.aio
from starlette.responses import JSONResponse, Response

from functions.platforms.oauth.networks import PLATFORMS, app_of, network_of
from functions.web.endpoint import Call, endpoint
from functions.web.signed_in import read_own_accounts


@functions_framework.aio.http
@endpoint("GET", "HEAD")
async def list_accounts(call: Call) -> Response:
    """The rows as `social_accounts` has them; tokens are not among them."""
    _, _, accounts = await read_own_accounts(call)
    settings = call.services.settings
    connectable = [name for name in PLATFORMS if settings.site_url and app_of(network_of(name, settings), settings)]
    items = sorted(accounts, key=lambda account: PLATFORMS.index(account["platform"]))
    return JSONResponse({"items": items, "next_cursor": None, "connectable": connectable})
