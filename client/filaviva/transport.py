"""One caller's way to the project's REST interface: how a call is sent, tried again, and what its failure means.

Which functions and tables are called stands in `filaviva.rpc`. Errors come out as those of `filaviva.errors`.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import httpx
from postgrest import APIError, AsyncPostgrestClient

from filaviva.backoff import Backoff
from filaviva.credentials import check_key, check_token, check_url
from filaviva.errors import (
    FilaVivaError,
    InvalidRequest,
    Unavailable,
    client_closed,
    from_postgrest,
    not_json,
    wrong_url,
)

logger = logging.getLogger(__name__)

Row = dict[str, Any]

# The API roles' statements end after 8 s: who waits longer waits for nothing.
_TIMEOUT = httpx.Timeout(15.0, connect=5.0)
_TRIES = 3

_SMALLEST_LIMIT = 10

# A server that has no such page, method or place any more. PostgREST says so too, but with a code of its own.
_WRONG_PLACE = {301, 302, 303, 307, 308, 404, 405, 410}
_POSTGREST_CODE = re.compile(r"PGRST[0-9A-Z]{3}|[0-9A-Z]{5}")


class Transport:
    """One caller's view of the database, over PostgREST.

    Args:
        url: the project's URL.
        key: its anon, publishable or service key.
        token: the user's access token; without it the key alone speaks.
        http_client: connections to share between callers. Making an object of this class is then cheap
            enough to do for every request, and closing the client stays with whoever made it. Its
            timeout applies.
    """

    def __init__(
        self, url: str, key: str, token: str | None = None, *, http_client: httpx.AsyncClient | None = None
    ) -> None:
        check_url(url)
        check_key(key)
        check_token(token)
        self._key = key
        self._token = token
        http = http_client or _new_http()
        self._own_http = http if http_client is None else None
        self._session = _Session(http)
        self._client = AsyncPostgrestClient(
            f"{url.rstrip('/')}/rest/v1",
            headers={"apikey": key, "Authorization": f"Bearer {token or key}"},
            http_client=cast("httpx.AsyncClient", self._session),  # the builders only call `request`
            retry_enabled=False,  # its pauses of whole seconds would delay a live view
        )

    def set_token(self, token: str | None) -> None:
        """Speak with `token` from now on; None means with the key alone.

        Raises:
            InvalidRequest: it cannot be a token; the former one stays.
        """
        check_token(token)
        self._token = token
        self._client.auth(token or self._key)

    async def aclose(self) -> None:
        """Close the connections, unless they were given."""
        if self._own_http is not None:
            await self._own_http.aclose()

    async def select(
        self,
        table: str,
        *,
        columns: str = "*",
        where: Mapping[str, Any],
        above: Mapping[str, Any] | None = None,
        below: Mapping[str, Any] | None = None,
        order: str | None = None,
        descending: bool = False,
        limit: int | None = None,
    ) -> list[Row]:
        """The rows of `table` whose columns equal `where`; a list there means any of its values, None means null.

        Args:
            table: a table or view of the schema `public`.
            columns: what to read of each row.
            where: the values that columns have.
            above: values that columns must exceed.
            below: values that columns must stay under.
            order: the column to sort by.
            descending: whether the highest comes first.
            limit: at most so many rows; the project may give fewer.
        """

        def build() -> Awaitable[Any]:
            query = self._client.from_(table).select(columns)
            for column, value in where.items():
                if value is None:
                    query = query.is_(column, "null")
                else:
                    query = query.in_(column, value) if isinstance(value, list) else query.eq(column, value)
            for column, value in (above or {}).items():
                query = query.gt(column, value)
            for column, value in (below or {}).items():
                query = query.lt(column, value)
            if order is not None:
                query = query.order(order, desc=descending)
            if limit is not None:
                query = query.limit(limit)
            return query.execute()

        return as_rows(await self._answer(build, repeatable=True))

    async def call(self, function: str, parameters: Mapping[str, Any], *, repeatable: bool) -> Any:
        """What the database function answers; one that is `repeatable` is called again when no answer comes."""
        return await self._answer(lambda: self._client.rpc(function, dict(parameters)).execute(), repeatable=repeatable)

    async def _answer(self, send: Callable[[], Awaitable[Any]], *, repeatable: bool) -> Any:
        """What `send` answers; a repeatable call gets a few quick tries."""
        backoff = Backoff(0.2, 1.0)
        for tries_left in reversed(range(_TRIES if repeatable else 1)):
            try:
                return await self._send(send)
            except Unavailable as error:
                if not tries_left:
                    raise
                logger.info("No answer, trying again: %s", error)
            await asyncio.sleep(backoff.next())
        raise AssertionError("unreachable")

    async def _send(self, send: Callable[[], Awaitable[Any]]) -> Any:
        if self._session.is_closed:
            raise client_closed()
        try:
            return (await send()).data
        except APIError as error:
            raise from_postgrest(error, signed_in=self._token is not None) from error
        except httpx.RequestError as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(f"The project did not answer: {reason}.", code="no_answer") from error
        except (TypeError, ValueError) as error:  # raised while the body is written as JSON
            raise not_json("The call", error) from error


def _new_http() -> httpx.AsyncClient:
    try:
        return httpx.AsyncClient(timeout=_TIMEOUT, http2=True)
    except (ImportError, OSError, ValueError) as error:  # it reads the environment
        raise InvalidRequest(
            f"The connections cannot be set up: {error}.",
            code="not_configured",
            hint="Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR in the environment.",
        ) from error


class _Session:
    """Connections that know an answer which is not PostgREST's, while its HTTP status is still at hand."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    @property
    def is_closed(self) -> bool:
        return self._http.is_closed

    async def request(self, method: str, url: str, **more: Any) -> httpx.Response:
        response = await self._http.request(method, url, **more)
        if response.status_code in _WRONG_PLACE and not _is_postgrests(response):
            raise wrong_url(f"it answered {response.status_code}", response.status_code)
        return response


def may_be_cut(found: int, asked: int) -> bool:
    """Whether `found` rows may be fewer than there are, of `asked`, because of the project's own limit.

    No answer tells whether it was cut. But such a limit is a round number, and none is very small.
    """
    return _SMALLEST_LIMIT <= found < asked and found % 5 == 0


def as_rows(answer: Any) -> list[Row]:
    """The answer, which must be a list.

    Raises:
        FilaVivaError: `unexpected_answer`.
    """
    if not isinstance(answer, list):
        raise _unexpected(answer)
    return answer


def as_row(answer: Any) -> Row:
    """The answer, which must be an object.

    Raises:
        FilaVivaError: `unexpected_answer`.
    """
    if not isinstance(answer, dict):
        raise _unexpected(answer)
    return answer


def _is_postgrests(response: httpx.Response) -> bool:
    """Whether an error's body has a code as PostgREST and PostgreSQL form them."""
    try:
        code = response.json()["code"]
    except (ValueError, TypeError, KeyError):
        return False
    return isinstance(code, str) and _POSTGREST_CODE.fullmatch(code) is not None


def _unexpected(answer: Any) -> FilaVivaError:
    found = type(answer).__name__
    return FilaVivaError(
        f"The project's answer is not one of Fila Viva's: JSON expected, {found} found.",
        code="unexpected_answer",
        hint="Does the URL name a Supabase project?",
    )
