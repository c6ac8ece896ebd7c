"""Objects going out: read, described, listed and removed, as policies on `storage.objects` allow."""

from typing import Any
from urllib.parse import quote

from psycopg.rows import DictRow
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from devstack.storage.bodies import names_in, read_body
from devstack.storage.buckets import find_bucket
from devstack.storage.callers import Connection, Pool, as_caller, as_owner, caller_of
from devstack.storage.errors import invalid, no_bucket, no_object
from devstack.storage.files import Files
from devstack.storage.settings import StorageSettings

FIND = "select id::text, name, version, metadata, created_at, updated_at from storage.objects"
PLACE = " where bucket_id = %s and name = %s"
ORDERS = ("name", "created_at", "updated_at", "last_accessed_at")

_LIST = """
with found as (
  select id::text, created_at, updated_at, last_accessed_at, metadata,
    split_part(substr(name, length(%(prefix)s::text) + 1), '/', 1) as name,
    position('/' in substr(name, length(%(prefix)s::text) + 1)) > 0 as in_folder
  from storage.objects
  where bucket_id = %(bucket)s and starts_with(name, %(prefix)s::text)
),
wanted as (select * from found where starts_with(lower(name), lower(%(search)s::text)) and name <> '')
(select distinct on (name) name, null as id, null::timestamptz as created_at, null::timestamptz as updated_at,
  null::timestamptz as last_accessed_at, null::jsonb as metadata, 0 as place
 from wanted where in_folder)
union all
select name, id, created_at, updated_at, last_accessed_at, metadata, 1 from wanted where not in_folder
order by place, {order} limit %(limit)s offset %(offset)s
"""


class Objects:
    """The routes below `/object` that do not take anything in."""

    def __init__(self, settings: StorageSettings, pool: Pool, files: Files) -> None:
        self._settings, self._pool, self._files = settings, pool, files

    async def public(self, request: Request) -> Response:
        """An object of a public bucket, for anybody."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        if not (await find_bucket(self._pool, bucket)).public:
            raise no_bucket()
        return await self.serve(request, bucket, name)

    async def private(self, request: Request) -> Response:
        """An object that the caller may see."""
        place = (request.path_params["bucket"], request.path_params["name"])
        caller = caller_of(request, self._settings.jwt_secret)
        async with as_caller(self._pool, caller) as connection:
            found = await find_object(connection, *place)
        return self._file(request, found)

    async def info(self, request: Request) -> Response:
        """What is known about an object that the caller may see."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            found = await find_object(connection, bucket, name)
        about = found["metadata"] or {}
        answer = {
            "id": found["id"],
            "name": found["name"],
            "bucket_id": bucket,
            "version": found["version"],
            "size": about.get("size"),
            "content_type": about.get("mimetype"),
            "cache_control": about.get("cacheControl"),
            "etag": about.get("eTag"),
            "last_modified": about.get("lastModified"),
            "created_at": found["created_at"].isoformat(),
        }
        return JSONResponse(answer)

    async def serve(self, request: Request, bucket: str, name: str) -> Response:
        """An object, whoever asks: the right to it was judged before."""
        async with as_owner(self._pool) as connection:
            found = await find_object(connection, bucket, name)
        return self._file(request, found)

    async def list_folder(self, request: Request) -> Response:
        """What lies in a folder, its own folders first; one level of names."""
        wish = await read_body(request)
        sort = wish.get("sortBy") or {}
        if not isinstance(sort, dict):
            raise invalid("body/sortBy must be object")
        column, direction = sort.get("column", "name"), sort.get("order", "asc")
        limit, offset = wish.get("limit", 100), wish.get("offset", 0)
        prefix, search = wish.get("prefix", ""), wish.get("search") or ""
        if column not in ORDERS or direction not in ("asc", "desc"):
            raise invalid("body/sortBy must name a known column and asc or desc")
        if not all(type(number) is int and number >= 0 for number in (limit, offset)):
            raise invalid("body/limit and body/offset must be numbers")
        if not isinstance(prefix, str) or not isinstance(search, str):
            raise invalid("body/prefix and body/search must be text")
        folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        values = {"bucket": request.path_params["bucket"], "prefix": folder, "search": search}
        statement = _LIST.format(order=f"{column} {direction}")
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            cursor = await connection.execute(statement.encode(), {**values, "limit": limit, "offset": offset})
            rows = await cursor.fetchall()
        return JSONResponse([_listed(row) for row in rows])

    async def remove(self, request: Request) -> Response:
        """Remove what the caller may remove of the named objects; the answer says which."""
        names = names_in(await read_body(request), "prefixes")
        return JSONResponse([_listed(row) for row in await self._remove(request, names)])

    async def remove_one(self, request: Request) -> Response:
        """Remove one object."""
        if not await self._remove(request, [request.path_params["name"]]):
            raise no_object()
        return JSONResponse({"message": "Successfully deleted"})

    async def _remove(self, request: Request, names: list[str]) -> list[DictRow]:
        statement = (
            "delete from storage.objects where bucket_id = %s and name = any (%s)"
            " returning name, id::text, bucket_id, version, metadata, created_at, updated_at, last_accessed_at"
        )
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            rows = await (await connection.execute(statement, (request.path_params["bucket"], names))).fetchall()
        self._files.remove(row["version"] for row in rows)
        return rows

    def _file(self, request: Request, found: DictRow) -> Response:
        about = found["metadata"] or {}
        path = self._files.path(found["version"] or "")
        if not path.is_file():
            raise no_object()
        headers = {"cache-control": about.get("cacheControl", "no-cache")}
        if "download" in request.query_params:
            headers["content-disposition"] = _attachment(request.query_params["download"])
        # A page uploaded by anyone must not run as one of this origin: the real server shows its source, too.
        content_type = str(about.get("mimetype", "application/octet-stream"))
        content_type = "text/plain" if "text/html" in content_type.lower() else content_type
        return FileResponse(path, headers=headers, media_type=content_type)


async def find_object(connection: Connection, bucket: str, name: str) -> DictRow:
    """The row of an object, as far as the transaction's role may see it.

    Raises:
        StorageError: there is none.
    """
    found = await (await connection.execute(FIND + PLACE, (bucket, name))).fetchone()
    if found is None:
        raise no_object()
    return found


def _listed(row: DictRow) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name not in ("place", "version")}
    times = ("created_at", "updated_at", "last_accessed_at")
    return {**shown, **{name: row[name].isoformat() if row[name] else None for name in times}}


def _attachment(filename: str) -> str:
    encoded = quote(filename, safe="")
    return f"attachment; filename={encoded}; filename*=UTF-8''{encoded};" if encoded else "attachment;"
