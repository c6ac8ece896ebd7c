"""Objects coming in: permission first, then the bytes, then the row that gives them their name."""

import hashlib
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Message

from devstack.storage.buckets import Bucket, find_bucket
from devstack.storage.callers import Caller, Connection, Pool, as_owner, attempt, caller_of
from devstack.storage.errors import NOT_SERVED, StorageError, duplicate, invalid, too_large
from devstack.storage.files import Files
from devstack.storage.settings import StorageSettings

NAME = re.compile(r"[\w/!\-.*'() &$@=;:+,?]{1,1000}", re.ASCII)
"""What the real server accepts as an object's name."""

FORM_OVERHEAD = 64 * 1024
"""Bytes that a form may add to the object in it."""

_INSERT = """
insert into storage.objects (bucket_id, name, owner, owner_id, version, metadata) values (%s, %s, %s, %s, %s, %s)
"""
_REPLACE = f"""{_INSERT}
on conflict (bucket_id, name) do update set owner = excluded.owner, owner_id = excluded.owner_id,
  version = excluded.version, metadata = excluded.metadata, updated_at = now()
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an object is to go, and how.

    Attributes:
        owner: id of the user it is to belong to, if any.
        replace: whether it may take the place of another.
    """

    bucket: Bucket
    name: str
    owner: str | None
    replace: bool

    @property
    def key(self) -> str:
        """Bucket and name, as answers say it."""
        return f"{self.bucket.id}/{self.name}"


class Uploads:
    """What takes objects in, by whichever route."""

    def __init__(self, settings: StorageSettings, pool: Pool, files: Files) -> None:
        self._settings, self._pool, self._files = settings, pool, files

    async def create(self, request: Request) -> Response:
        """Take in a new object, or with `x-upsert` also one that replaces another."""
        return await self._upload(request, replace=request.headers.get("x-upsert") == "true")

    async def update(self, request: Request) -> Response:
        """Take in an object that may replace another."""
        return await self._upload(request, replace=True)

    async def permit(self, bucket_id: str, name: str, caller: Caller, *, replace: bool) -> Target:
        """The target of an upload that the policies allow the caller.

        Raises:
            StorageError: there is no such bucket, the name cannot be one, or is taken.
            psycopg.Error: the policies forbid it.
        """
        bucket = await find_bucket(self._pool, bucket_id)
        if not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise StorageError(400, "InvalidKey", f"Invalid key: {name}")
        target = Target(bucket, name, caller.owner, replace)
        async with attempt(self._pool, caller) as connection:
            await _write(connection, target, None, {})
        return target

    async def check_free(self, target: Target) -> None:
        """Refuse a target whose name is taken, if it may not replace anything.

        Raises:
            StorageError: it is taken.
        """
        taken = "select 1 from storage.objects where bucket_id = %s and name = %s"
        async with as_owner(self._pool) as connection:
            found = await connection.execute(taken, (target.bucket.id, target.name))
        if found.rowcount and not target.replace:
            raise duplicate()

    async def receive(self, request: Request, target: Target) -> str:
        """Take the object in the body in; its id."""
        version = str(uuid.uuid4())
        is_form = request.headers.get("content-type", "").startswith("multipart/form-data")
        try:
            metadata = await (self._form if is_form else self._raw)(request, target.bucket, version)
            old, object_id = await self._publish(target, version, metadata)
        except BaseException:
            self._files.remove([version])
            raise
        self._files.remove([old])
        return object_id

    async def _upload(self, request: Request, *, replace: bool) -> Response:
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        if f"object/{bucket}" in NOT_SERVED:
            raise HTTPException(404)
        caller = caller_of(request, self._settings.jwt_secret)
        target = await self.permit(bucket, name, caller, replace=replace)
        object_id = await self.receive(request, target)
        return JSONResponse({"Key": target.key, "Id": object_id})

    async def _publish(self, target: Target, version: str, metadata: dict[str, Any]) -> tuple[str | None, str]:
        """Give the bytes their name, in one step: a reader finds all of the old object or all of the new one."""
        place = (target.bucket.id, target.name)
        async with as_owner(self._pool) as connection:
            sought = "select version from storage.objects where bucket_id = %s and name = %s for update"
            old = await (await connection.execute(sought, place)).fetchone()
            await _write(connection, target, version, metadata)
            made = "select id::text from storage.objects where bucket_id = %s and name = %s"
            new = await (await connection.execute(made, place)).fetchone()
        if new is None:
            raise duplicate()
        return old["version"] if old else None, str(new["id"])

    async def _raw(self, request: Request, bucket: Bucket, version: str) -> dict[str, Any]:
        """A body that is the object; its headers say the content type and cache control."""
        content_type = request.headers.get("content-type", "application/octet-stream")
        _check_type(bucket, content_type)
        await self._files.write(version, _limited(request, self._limit(bucket)))
        return self._metadata(version, content_type, request.headers.get("cache-control", "no-cache"))

    async def _form(self, request: Request, bucket: Bucket, version: str) -> dict[str, Any]:
        """A form as the official clients send it: the object is its first file, `cacheControl` a field."""
        limit = self._limit(bucket)
        async with _limited(request, limit + FORM_OVERHEAD).form() as form:
            upload = next((part for part in form.values() if isinstance(part, UploadFile)), None)
            if upload is None:
                raise invalid("No file provided")
            if (upload.size or 0) > limit:
                raise too_large()
            content_type = upload.content_type or "application/octet-stream"
            _check_type(bucket, content_type)
            await run_in_threadpool(self._files.copy, version, upload.file)
            seconds = form.get("cacheControl")
        cache_control = f"max-age={seconds}" if isinstance(seconds, str) and seconds.isdecimal() else "no-cache"
        return self._metadata(version, content_type, cache_control)

    def _limit(self, bucket: Bucket) -> int:
        return min(self._settings.size_limit, bucket.file_size_limit or self._settings.size_limit)

    def _metadata(self, version: str, content_type: str, cache_control: str) -> dict[str, Any]:
        size = self._files.path(version).stat().st_size
        tag = hashlib.md5(version.encode(), usedforsecurity=False).hexdigest()
        return {
            "eTag": f'"{tag}"',
            "size": size,
            "mimetype": content_type,
            "cacheControl": cache_control,
            "lastModified": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "contentLength": size,
            "httpStatusCode": 200,
        }


async def _write(connection: Connection, target: Target, version: str | None, metadata: dict[str, Any]) -> None:
    values = (target.bucket.id, target.name, target.owner, target.owner, version, Jsonb(metadata))
    await connection.execute(_REPLACE if target.replace else _INSERT, values)


def _check_type(bucket: Bucket, content_type: str) -> None:
    if not bucket.takes(content_type):
        plain = content_type.partition(";")[0].strip()
        raise StorageError(415, "invalid_mime_type", f"mime type {plain} is not supported")


def _limited(request: Request, limit: int) -> Request:
    """The same request, refused as soon as its body is seen to be above `limit` bytes."""
    declared = request.headers.get("content-length", "0")
    if not declared.isdecimal() or int(declared) > limit:
        raise too_large()
    room = limit

    async def receive() -> Message:
        nonlocal room
        message = await request.receive()
        room -= len(message.get("body", b""))
        if room < 0:
            raise too_large()
        return message

    return Request(request.scope, receive)
