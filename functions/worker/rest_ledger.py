"""The ledger over PostgREST: no connection is held, and any pooler may stand between. What the functions use."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
import orjson
from pydantic import SecretStr

from functions.web.services import Services
from functions.worker.ledger import PASSING_CODES, EngineLedger, LedgerRefused, LedgerUnavailable


class RestLedger(EngineLedger):
    """The ledger over PostgREST, with the service key.

    Args:
        http: a client whose base URL is the project's REST API.
        service_key: what opens the engine's functions; sent with every call, never logged.
        pause: how `tenacity` sleeps between tries; a test passes its own.
    """

    def __init__(
        self, http: httpx.AsyncClient, service_key: SecretStr, pause: Callable[[float], Awaitable[None]] | None = None
    ) -> None:
        super().__init__(pause)
        self._http = http
        key = service_key.get_secret_value()
        self._headers = {"apikey": key, "Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def _packed(self, arguments: Mapping[str, Any]) -> bytes:
        return orjson.dumps(arguments)

    async def _send(self, function: str, packed: bytes) -> bytes:
        try:
            answer = await self._http.post(f"rpc/{function}", content=packed, headers=self._headers)
        except httpx.TransportError as error:
            raise LedgerUnavailable(f"{function}: {type(error).__name__}") from error
        if answer.is_success:
            return answer.content
        raise _fault(function, answer)


def rest_ledger(services: Services) -> RestLedger:
    """The ledger of a process; make it with `services.once(rest_ledger)`."""
    return RestLedger(services.database, services.settings.supabase_service_role_key)


def _fault(function: str, answer: httpx.Response) -> LedgerUnavailable | LedgerRefused:
    try:
        error = orjson.loads(answer.content)
        sqlstate = str(error.get("code", ""))
    except (orjson.JSONDecodeError, AttributeError):
        error, sqlstate = {}, ""
    message = str(error.get("message") or answer.reason_phrase)
    if sqlstate.startswith("PT"):
        code = str(error.get("details"))
        return LedgerRefused(answer.status_code, code, message, error.get("hint"), from_engine=True)
    if sqlstate in PASSING_CODES or answer.status_code in {408, 429, 502, 503, 504, 520} or not error:
        return LedgerUnavailable(f"{function}: {answer.status_code} {sqlstate} {message}")
    return LedgerRefused(answer.status_code, sqlstate or str(answer.status_code), message, error.get("hint"))
