"""The user of a request, vouched for by the database: for endpoints that then act with the server's own rights."""

from typing import Any
from uuid import UUID

from filaviva.rpc import Rpc
from functions.web.endpoint import Call
from functions.web.engine import database_as
from functions.web.errors import unauthorized
from functions.web.identity import bearer, claimed_user


async def read_own_accounts(call: Call) -> tuple[UUID, Rpc, list[dict[str, Any]]]:
    """The signed-in user, the database with their rights, and their connected accounts.

    The accounts are read with the user's token, and so the database has verified it when this returns.

    Raises:
        WebError: 401 when nobody is signed in.
        FilaVivaError: the database refused the token, or did not answer.
    """
    token = bearer(call.request)
    user = claimed_user(token)
    if user is None:
        raise unauthorized("invalid_token", "The token is no user's.", "Sign in and send your access token.")
    database = database_as(call.services, token)
    return UUID(user), database, await database.select("social_accounts", where={"user_id": user})
