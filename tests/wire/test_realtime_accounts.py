"""What happens to an account is streamed to its owner at once, and to nobody else; tokens are not."""

import json
from contextlib import AsyncExitStack

import psycopg

from tests.conftest import Database
from tests.wire.realtime_support import ANN, BEN, RawClient, serve, user, watching

TOKENS = json.dumps({"access_token": "canary-1", "refresh_token": "canary-2"})


async def test_an_owner_sees_at_once_that_an_account_must_be_connected_again(database: Database) -> None:
    with database.connect("supabase_admin") as admin:
        for person in (ANN, BEN):
            admin.execute(
                "insert into auth.users (id, email, aud, role) values (%s, %s, 'authenticated', 'authenticated')",
                (person, f"{person}@example.com"),
            )
    async with serve(database) as server, AsyncExitStack() as stack:
        watchers = {}
        for person in (ANN, BEN):
            client = await stack.enter_async_context(RawClient.open(server))
            await client.subscribe(watching("social_accounts"), token=user(person))
            watchers[person] = client
        with database.connect() as connection:
            account = connect(connection, ANN)
            connection.execute("select public.mark_reconnect(%s, 1, 'token_refused')", (account,))
            connect(connection, BEN)
        made, marked = await watchers[ANN].change(), await watchers[ANN].change()
        assert (made["record"]["id"], made["record"]["status"]) == (account, "connected")
        record = marked["record"]
        assert (record["status"], record["reconnect_reason"], record["version"]) == ("reconnect", "token_refused", 2)
        theirs = await watchers[BEN].change()
        assert theirs["record"]["user_id"] == BEN, "nothing of another user's came before it"
        assert "canary" not in json.dumps([made, marked, theirs])


def connect(connection: psycopg.Connection, person: str) -> str:
    row = connection.execute("select public.connect_account(%s, 'x', '1', 'A', %s)", (person, TOKENS)).fetchone()
    assert row is not None
    return str(row[0])
