"""What both ledgers do about accounts, held against the real database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr

from functions.worker.ledger import EngineLedger, LedgerRefused
from functions.worker.postgres_ledger import PostgresLedger
from functions.worker.rest_ledger import RestLedger
from tests.functions.conftest import BOTH_LEDGERS, Project

pytestmark = BOTH_LEDGERS
ENDS = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
async def ledger(project: Project, carrier: str) -> AsyncIterator[EngineLedger]:
    if carrier == "postgres":
        async with PostgresLedger(project.database.dsn()) as direct:
            yield direct
    else:
        async with httpx.AsyncClient(base_url=f"{project.url}/rest/v1") as http:
            yield RestLedger(http, SecretStr(project.keys.service_role_key))


async def connect(ledger: EngineLedger, user: UUID) -> UUID:
    return await ledger.connect_account(
        user,
        "x",
        external_id="1",
        display_name="Ana",
        secrets={"access_token": "a-1", "refresh_token": "r-1"},
        kind="person",
        extra={"page_id": "7"},
        scopes=["tweet.write"],
        expires_at=ENDS,
    )


async def test_an_account_is_connected_renewed_and_marked(ledger: EngineLedger, project: Project) -> None:
    user = UUID(project.sign_up().id)
    account = await connect(ledger, user)
    credentials = await ledger.credentials(user, "x")
    assert credentials is not None
    assert (credentials["account_id"], credentials["kind"], credentials["extra"]) == (
        str(account),
        "person",
        {"page_id": "7"},
    )
    assert datetime.fromisoformat(credentials["expires_at"]) == ENDS

    right = await ledger.begin_refresh(account, 1, 60)
    assert (right.state, right.credentials and right.credentials["refresh_token"]) == ("yours", "r-1")
    assert "r-1" not in repr(right)
    busy = await ledger.begin_refresh(account, 1, 60)
    assert (busy.state, 0 < busy.after_seconds <= 60, busy.credentials) == ("busy", True, None)
    await ledger.abandon_refresh(account, right.fence)
    right = await ledger.begin_refresh(account, 1, 60)
    stored = await ledger.store_refreshed(account, right.fence, {"access_token": "a-2"}, None)
    assert stored is not None
    assert (stored["access_token"], stored["refresh_token"], stored["expires_at"]) == ("a-2", "r-1", None)
    assert await ledger.store_refreshed(account, right.fence, {"access_token": "a-3"}, ENDS) is None

    await ledger.mark_reconnect(account, 2, "token_refused")
    assert (await ledger.begin_refresh(account, 2, 60)).state == "reconnect"
    with pytest.raises(LedgerRefused):
        await ledger.mark_reconnect(account, 2, "The token a-2 is bad")


async def test_a_sign_in_is_begun_and_taken(ledger: EngineLedger, project: Project) -> None:
    user = UUID(project.sign_up().id)
    state, browser = "a" * 64, "b" * 64
    await ledger.begin_connection(user, "x", state, browser, "verifier", None)
    assert await ledger.take_connection("x", state, browser) == {
        "user_id": str(user),
        "verifier": "verifier",
        "wanted": None,
    }
    assert await ledger.take_connection("x", state, browser) is None
