"""Who is calling: the bearer token, and the transactions in which policies judge its owner."""

import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt
from psycopg import AsyncConnection, Rollback
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool
from starlette.requests import Request

from devstack.storage.errors import StorageError
from devstack.tokens import UnprovenTokenError, read_keys

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom a token stands for: a database role, and the claims that policies ask about."""

    role: str
    claims: dict[str, Any]

    @property
    def owner(self) -> str | None:
        """Whose the objects are that this caller makes."""
        return self.claims.get("sub")


def caller_of(request: Request, jwt_secret: str) -> Caller:
    """The caller in the request's bearer token.

    Raises:
        StorageError: there is no token, or it is forged or expired.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise StorageError(400, "Error", "headers must have required property 'authorization'")
    try:
        claims = json.loads(read_keys(jwt_secret).payload(token))
    except (jwt.InvalidTokenError, ValueError) as error:
        raise StorageError(403, "Unauthorized", f"Invalid token: {error}") from None
    except UnprovenTokenError:
        raise StorageError(403, "Unauthorized", "Invalid token: signature verification failed") from None
    expires = claims.get("exp", math.inf) if isinstance(claims, dict) else 0
    if not isinstance(expires, int | float) or expires < time.time():
        raise StorageError(403, "Unauthorized", "Invalid token: it has expired")
    return Caller(str(claims.get("role") or "anon"), claims)


@asynccontextmanager
async def as_owner(pool: Pool) -> AsyncIterator[Connection]:
    """A transaction of the tables' owner, to whom no policy applies."""
    async with pool.connection() as connection:
        yield connection


@asynccontextmanager
async def as_caller(pool: Pool, caller: Caller) -> AsyncIterator[Connection]:
    """A transaction as the caller: policies apply."""
    async with pool.connection() as connection:
        await connection.execute(
            "select set_config('role', %s, true), set_config('request.jwt.claims', %s, true)",
            (caller.role, json.dumps({**caller.claims, "role": caller.role})),
        )
        yield connection


@asynccontextmanager
async def attempt(pool: Pool, caller: Caller) -> AsyncIterator[Connection]:
    """The same, and undone at the end: whether the caller may."""
    async with as_caller(pool, caller) as connection, connection.transaction() as transaction:
        yield connection
        raise Rollback(transaction)
