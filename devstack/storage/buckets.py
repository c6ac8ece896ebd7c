"""Buckets: made, listed, changed, emptied and removed as policies on `storage.buckets` allow."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devstack.storage.bodies import read_body
from devstack.storage.callers import Connection, Pool, as_caller, as_owner, caller_of
from devstack.storage.errors import StorageError, invalid, no_bucket, not_served
from devstack.storage.files import Files
from devstack.storage.settings import StorageSettings

NAME = re.compile(r"[\w!\-.*'() &$@=;:+,?]{1,100}", re.ASCII)
SELECT = """
select id, name, owner_id as owner, public, file_size_limit, allowed_mime_types, created_at, updated_at, type
from storage.buckets
"""


UPDATE = """
update storage.buckets set
  public = coalesce(%(public)s, public),
  file_size_limit = case when %(size_named)s then %(size)s else file_size_limit end,
  allowed_mime_types = case when %(types_named)s then %(types)s else allowed_mime_types end,
  updated_at = now()
where id = %(bucket)s
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a bucket says about the objects in it."""

    id: str
    public: bool
    file_size_limit: int | None
    allowed_mime_types: list[str] | None

    def takes(self, content_type: str) -> bool:
        """Whether objects of this type may be in it."""
        plain = content_type.partition(";")[0].strip().lower()
        wanted = self.allowed_mime_types or ["*/*"]
        return any(plain == one or one in ("*", "*/*", f"{plain.partition('/')[0]}/*") for one in wanted)


class Buckets:
    """The routes below `/bucket`."""

    def __init__(self, settings: StorageSettings, pool: Pool, files: Files) -> None:
        self._settings, self._pool, self._files = settings, pool, files

    async def create(self, request: Request) -> Response:
        """Make a bucket."""
        caller = caller_of(request, self._settings.jwt_secret)
        wish = await _read(request)
        name = wish.get("name")
        bucket_id = wish.get("id") or name
        if not all(isinstance(text, str) and NAME.fullmatch(text) for text in (name, bucket_id)):
            raise StorageError(400, "InvalidBucketName", "Bucket name invalid")
        values = (bucket_id, name, caller.owner, caller.owner, wish.get("public", False), *_limits(wish))
        async with as_caller(self._pool, caller) as connection:
            await connection.execute(
                "insert into storage.buckets (id, name, owner, owner_id, public, file_size_limit, allowed_mime_types)"
                " values (%s, %s, %s, %s, %s, %s, %s)",
                values,
            )
        return JSONResponse({"name": name})

    async def list_all(self, request: Request) -> Response:
        """All buckets that the caller may see."""
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            rows = await (await connection.execute(SELECT + " order by id")).fetchall()
        return JSONResponse([_shown(row) for row in rows])

    async def read(self, request: Request) -> Response:
        """One bucket."""
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            statement = SELECT + " where id = %s"
            row = await (await connection.execute(statement, (request.path_params["bucket"],))).fetchone()
        if row is None:
            raise no_bucket()
        return JSONResponse(_shown(row))

    async def update(self, request: Request) -> Response:
        """Change what is named in the body."""
        caller, wish = caller_of(request, self._settings.jwt_secret), await _read(request)
        size, types = _limits(wish)
        values = {"public": wish.get("public"), "size": size, "types": types, "bucket": request.path_params["bucket"]}
        named = {"size_named": "file_size_limit" in wish, "types_named": "allowed_mime_types" in wish}
        async with as_caller(self._pool, caller) as connection:
            cursor = await connection.execute(UPDATE, values | named)
        _must_have_changed(cursor.rowcount)
        return JSONResponse({"message": "Successfully updated"})

    async def empty(self, request: Request) -> Response:
        """Remove every object in it that the caller may remove."""
        bucket = request.path_params["bucket"]
        caller = caller_of(request, self._settings.jwt_secret)
        async with as_caller(self._pool, caller) as connection:
            seen = await connection.execute("select 1 from storage.buckets where id = %s", (bucket,))
            _must_have_changed(seen.rowcount)
            statement = "delete from storage.objects where bucket_id = %s returning version"
            rows = await (await connection.execute(statement, (bucket,))).fetchall()
        self._files.remove(row["version"] for row in rows)
        return JSONResponse({"message": "Successfully emptied"})

    async def delete(self, request: Request) -> Response:
        """Remove a bucket that is empty."""
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            statement = "delete from storage.buckets where id = %s"
            cursor = await connection.execute(statement, (request.path_params["bucket"],))
        _must_have_changed(cursor.rowcount)
        return JSONResponse({"message": "Successfully deleted"})


async def find_bucket(pool: Pool, bucket_id: str) -> Bucket:
    """The bucket, whoever asks.

    Raises:
        StorageError: there is none.
    """
    async with as_owner(pool) as connection:
        return await find_bucket_in(connection, bucket_id)


async def find_bucket_in(connection: Connection, bucket_id: str) -> Bucket:
    """The same, within a transaction of the owner's."""
    statement = "select id, public, file_size_limit, allowed_mime_types from storage.buckets where id = %s"
    row = await (await connection.execute(statement, (bucket_id,))).fetchone()
    if row is None:
        raise no_bucket()
    return Bucket(**row)


async def _read(request: Request) -> dict[str, Any]:
    """What a request says of a bucket, checked."""
    wish = await read_body(request)
    if not isinstance(wish.get("public", False), bool):
        raise invalid("body/public must be boolean")
    if wish.get("type", "STANDARD") != "STANDARD":
        raise not_served(f"buckets of type {wish['type']}")
    return wish


def _limits(wish: dict[str, Any]) -> tuple[int | None, list[str] | None]:
    """The largest object, and the types that are taken."""
    size, types = wish.get("file_size_limit"), wish.get("allowed_mime_types")
    if isinstance(size, str) and size.isdecimal():
        size = int(size)
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise invalid("body/file_size_limit must be a number of bytes")
    if types is not None and not (isinstance(types, list) and all(isinstance(one, str) for one in types)):
        raise invalid("body/allowed_mime_types must be array of strings")
    return size or None, types or None


def _must_have_changed(count: int) -> None:
    if count == 0:
        raise no_bucket()


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    times = {name: row[name].isoformat() for name in ("created_at", "updated_at")}
    return {**row, **times, "owner": row["owner"] or ""}
