"""Public media on disk: the part of Supabase Storage that a queue needs to hand a video to a provider.

Buckets are created, objects are uploaded into them, and those of public buckets are read without a key.
All else of Storage answers 501 with the feature's name. Other errors travel as on the real server: as
HTTP 400, with their own number in the body.
"""

import hashlib
import json
import os
import re
import shutil
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from devstack.tokens import UnprovenTokenError, read_keys

NAME = re.compile(r"[\w/!\-.*'() &$@=;:+,?]{1,1000}", re.ASCII)
"""What the real server accepts as an object's name. A bucket's has no slash."""

FORM_OVERHEAD = 64 * 1024
"""Bytes that a form may add to the object in it."""

NOT_SUPPORTED = {
    "object/sign": "signed URLs",
    "object/upload": "signed upload URLs",
    "object/public": "writing through the public path",
    "object/authenticated": "reading private objects",
    "object/info": "object information",
    "object/list": "listing objects",
    "object/list-v2": "listing objects",
    "object/copy": "copying objects",
    "object/move": "moving objects",
    "bucket": "reading, changing and deleting buckets",
    "render": "image transformation",
    "upload": "resumable uploads",
    "s3": "the S3 protocol",
}


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """What Storage is given.

    Attributes:
        folder: where buckets and objects live; created when it is missing.
        jwt_secret: what bearer tokens are signed with: a plain secret (HS256), a JWK or a JWK set.
        size_limit: the largest object, in bytes; by default that of a new project, 50 MB.
    """

    folder: Path
    jwt_secret: str
    size_limit: int = 50 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: what is kept beside its bytes, which lie in a file named by `id`."""

    id: str
    content_type: str
    cache_control: str


class StorageError(Exception):
    """A refusal in the real server's words; `status` is the number that stands in the body."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error, self.message = status, error, message


class Storage:
    """The ASGI app behind `/storage/v1`.

    File names on disk are hashes, so no name that a client sends is ever a path.
    """

    def __init__(self, settings: StorageSettings) -> None:
        self._settings = settings
        self._buckets, self._names, self._bytes = (settings.folder / part for part in ("buckets", "names", "bytes"))
        self._app = Starlette(
            routes=[
                Route("/bucket", self._create_bucket, methods=["POST"]),
                Route("/object/public/{bucket}/{name:path}", self._read, methods=["GET"]),
                Route("/object/{bucket}/{name:path}", self._upload, methods=["POST"]),
            ],
            exception_handlers={
                404: _decline,
                405: _decline,
                StorageError: _refuse,
                400: _bad_form,
                ClientDisconnect: _hang_up,
            },
        )
        self._app.router.redirect_slashes = False

    async def start(self) -> None:
        """Make the folders, and clear away what uploads left behind that were cut off."""
        for folder in (self._buckets, self._names, self._bytes):
            folder.mkdir(parents=True, exist_ok=True)
        for draft in self._settings.folder.glob("*/*.part"):
            draft.unlink()

    async def stop(self) -> None:
        """Do nothing: no file stays open between requests."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await self._app(scope, receive, send)

    async def _create_bucket(self, request: Request) -> Response:
        if self._role(request) != "service_role":
            raise _unauthorized()
        bucket = _bucket_in(await request.body())
        try:
            with _entry(self._buckets, bucket["id"]).open("x") as file:
                json.dump(bucket, file)
        except FileExistsError:
            raise _duplicate() from None
        return JSONResponse({"name": bucket["name"]})

    async def _upload(self, request: Request) -> Response:
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        if f"object/{bucket}" in NOT_SUPPORTED:
            raise HTTPException(404)
        if self._role(request) not in ("service_role", "authenticated"):
            raise _unauthorized()
        self._bucket(bucket)  # it must exist
        if not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
            raise StorageError(400, "InvalidKey", f"Invalid key: {name}")
        replace = request.headers.get("x-upsert") == "true"
        if not replace and _entry(self._names, f"{bucket}/{name}").exists():
            raise _duplicate()
        stored = await self._receive(request)
        self._publish(f"{bucket}/{name}", stored, replace=replace)
        return JSONResponse({"Key": f"{bucket}/{name}", "Id": stored.id})

    async def _receive(self, request: Request) -> StoredObject:
        """Write the object in the body to disk."""
        object_id = str(uuid.uuid4())
        draft = self._bytes / f"{object_id}.part"
        try:
            if request.headers.get("content-type", "").startswith("multipart/form-data"):
                content_type, cache_control = await self._receive_form(request, draft)
            else:
                content_type, cache_control = await self._receive_raw(request, draft)
            draft.rename(self._bytes / object_id)
        finally:
            draft.unlink(missing_ok=True)
        return StoredObject(object_id, content_type, cache_control)

    async def _receive_raw(self, request: Request, draft: Path) -> tuple[str, str]:
        """A body that is the object; its headers say the content type and cache control."""
        with draft.open("xb") as file:
            async for chunk in _limited(request, self._settings.size_limit).stream():
                file.write(chunk)
        content_type = request.headers.get("content-type", "application/octet-stream")
        return content_type, request.headers.get("cache-control", "no-cache")

    async def _receive_form(self, request: Request, draft: Path) -> tuple[str, str]:
        """A form as the official clients send it: the object is its first file, `cacheControl` a field."""
        async with _limited(request, self._settings.size_limit + FORM_OVERHEAD).form() as form:
            upload = next((part for part in form.values() if isinstance(part, UploadFile)), None)
            if upload is None:
                raise StorageError(400, "InvalidRequest", "No file provided")
            if (upload.size or 0) > self._settings.size_limit:
                raise _too_large()
            with draft.open("xb") as file:
                await run_in_threadpool(shutil.copyfileobj, upload.file, file)
            seconds = form.get("cacheControl")
            cache_control = f"max-age={seconds}" if isinstance(seconds, str) and seconds.isdecimal() else "no-cache"
            return upload.content_type or "application/octet-stream", cache_control

    def _publish(self, key: str, stored: StoredObject, *, replace: bool) -> None:
        """Give the object its name, in one step: a reader finds all of the old one or all of the new one."""
        entry = _entry(self._names, key)
        draft = self._names / f"{stored.id}.part"
        draft.write_text(json.dumps(asdict(stored)))
        old = self._find(key)
        try:
            if replace:
                draft.replace(entry)
            else:
                os.link(draft, entry)
        except FileExistsError:
            (self._bytes / stored.id).unlink()
            raise _duplicate() from None
        finally:
            draft.unlink(missing_ok=True)
        if old:
            (self._bytes / old.id).unlink(missing_ok=True)

    async def _read(self, request: Request) -> Response:
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        if not self._bucket(bucket)["public"]:
            raise _no_bucket()
        stored = self._find(f"{bucket}/{name}")
        if stored is None:
            raise StorageError(404, "not_found", "Object not found")
        headers = {"cache-control": stored.cache_control}
        if "download" in request.query_params:
            headers["content-disposition"] = _attachment(request.query_params["download"])
        # A page uploaded by anyone must not run as one of this origin: the real server shows its source, too.
        content_type = "text/plain" if "text/html" in stored.content_type else stored.content_type
        return FileResponse(self._bytes / stored.id, headers=headers, media_type=content_type)

    def _bucket(self, bucket: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(_entry(self._buckets, bucket).read_text())
        except FileNotFoundError:
            raise _no_bucket() from None
        return found

    def _find(self, key: str) -> StoredObject | None:
        try:
            return StoredObject(**json.loads(_entry(self._names, key).read_text()))
        except FileNotFoundError:
            return None

    def _role(self, request: Request) -> str:
        """The role in the bearer token.

        Raises:
            StorageError: there is no token, or it is forged or expired.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise StorageError(400, "Error", "headers must have required property 'authorization'")
        try:
            claims = json.loads(read_keys(self._settings.jwt_secret).payload(token))
        except (jwt.InvalidTokenError, ValueError) as error:
            raise StorageError(403, "Unauthorized", f"Invalid token: {error}") from None
        except UnprovenTokenError:
            raise StorageError(403, "Unauthorized", "Invalid token: signature verification failed") from None
        if not isinstance(claims, dict) or claims.get("exp", time.time()) < time.time():
            raise StorageError(403, "Unauthorized", "Invalid token: it has expired")
        return str(claims.get("role"))


def _limited(request: Request, limit: int) -> Request:
    """The same request, refused as soon as its body is seen to be above `limit` bytes."""
    if int(request.headers.get("content-length", 0)) > limit:
        raise _too_large()
    room = limit

    async def receive() -> Message:
        nonlocal room
        message = await request.receive()
        room -= len(message.get("body", b""))
        if room < 0:
            raise _too_large()
        return message

    return Request(request.scope, receive)


def _entry(folder: Path, name: str) -> Path:
    return folder / f"{hashlib.sha256(name.encode()).hexdigest()}.json"


def _bucket_in(body: bytes) -> dict[str, Any]:
    """The bucket that a request describes, checked."""
    try:
        wish = json.loads(body)
    except ValueError:
        raise StorageError(400, "InvalidRequest", "The body must be a JSON object") from None
    if not isinstance(wish, dict):
        raise StorageError(400, "InvalidRequest", "The body must be a JSON object")
    for option in ("file_size_limit", "allowed_mime_types"):
        if wish.get(option):
            raise _unsupported(f"the bucket option {option}")
    if wish.get("type", "STANDARD") != "STANDARD":
        raise _unsupported(f"buckets of type {wish['type']}")
    name, public = wish.get("name"), wish.get("public", False)
    bucket_id = wish.get("id") or name
    if not isinstance(public, bool):
        raise StorageError(400, "InvalidRequest", "body/public must be boolean")
    if not all(isinstance(text, str) and NAME.fullmatch(text) and "/" not in text for text in (name, bucket_id)):
        raise StorageError(400, "InvalidBucketName", "Bucket name invalid")
    return {"id": bucket_id, "name": name, "public": public}


def _attachment(filename: str) -> str:
    encoded = quote(filename, safe="")
    return f"attachment; filename={encoded}; filename*=UTF-8''{encoded};" if encoded else "attachment;"


def _unauthorized() -> StorageError:
    return StorageError(403, "Unauthorized", "new row violates row-level security policy")


def _duplicate() -> StorageError:
    return StorageError(409, "Duplicate", "The resource already exists")


def _no_bucket() -> StorageError:
    return StorageError(404, "Bucket not found", "Bucket not found")


def _too_large() -> StorageError:
    return StorageError(413, "Payload too large", "The object exceeded the maximum allowed size")


def _unsupported(feature: str) -> StorageError:
    return StorageError(501, "NotSupported", f"Storage of devstack does not serve {feature}")


async def _decline(request: Request, _error: Exception) -> Response:
    """Answer whatever no route takes: 501, with the name of the feature."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", "")).strip("/")
    parts = path.split("/")
    feature = NOT_SUPPORTED.get("/".join(parts[:2])) or NOT_SUPPORTED.get(parts[0]) or f"{request.method} /{path}"
    return await _refuse(request, _unsupported(feature))


async def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, StorageError)  # noqa: S101 - what it is registered for
    body = {"statusCode": str(error.status), "error": error.error, "message": error.message}
    return JSONResponse(body, status_code=501 if error.status == 501 else 400)


async def _bad_form(request: Request, error: Exception) -> Response:
    return await _refuse(request, StorageError(400, "InvalidRequest", getattr(error, "detail", "Bad request")))


async def _hang_up(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody is left to read it
