"""Signed URLs: addresses that carry a right of their own, to read one object or to upload one, for some time."""

import hashlib
import time
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from devstack.storage.bodies import names_in, read_body
from devstack.storage.buckets import find_bucket
from devstack.storage.callers import Pool, as_caller, caller_of
from devstack.storage.errors import StorageError, invalid
from devstack.storage.objects import Objects, find_object
from devstack.storage.settings import StorageSettings
from devstack.storage.uploads import Target, Uploads

LONGEST_SECONDS = 10 * 365 * 86_400


class SignedUrls:
    """The routes below `/object/sign` and `/object/upload/sign`."""

    def __init__(self, settings: StorageSettings, pool: Pool, objects: Objects, uploads: Uploads) -> None:
        self._settings, self._pool, self._objects, self._uploads = settings, pool, objects, uploads
        self._key = hashlib.sha256(b"signed urls:" + settings.jwt_secret.encode()).hexdigest()
        """Not the key of users' tokens: one must never pass for the other."""

    async def sign(self, request: Request) -> Response:
        """An address to read an object that the caller may see."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        seconds = _seconds(await read_body(request))
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            await find_object(connection, bucket, name)
        return JSONResponse({"signedURL": self._address(bucket, name, seconds)})

    async def sign_many(self, request: Request) -> Response:
        """The same for many; for those that the caller cannot see, words instead of an address."""
        bucket, wish = request.path_params["bucket"], await read_body(request)
        seconds, paths = _seconds(wish), names_in(wish, "paths")
        statement = "select name from storage.objects where bucket_id = %s and name = any (%s)"
        async with as_caller(self._pool, caller_of(request, self._settings.jwt_secret)) as connection:
            rows = await (await connection.execute(statement, (bucket, paths))).fetchall()
        seen = {row["name"] for row in rows}
        missing = "Either the object does not exist or you do not have access to it"
        return JSONResponse(
            [
                {"error": None, "path": path, "signedURL": self._address(bucket, path, seconds)}
                if path in seen
                else {"error": missing, "path": path, "signedURL": None}
                for path in paths
            ]
        )

    async def read(self, request: Request) -> Response:
        """The object that the address stands for."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        self._claims(request, f"{bucket}/{name}")
        return await self._objects.serve(request, bucket, name)

    async def sign_upload(self, request: Request) -> Response:
        """An address to upload an object to, which the caller may make."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        caller = caller_of(request, self._settings.jwt_secret)
        replace = request.headers.get("x-upsert") == "true"
        target = await self._uploads.permit(bucket, name, caller, replace=replace)
        claims = {"owner": caller.owner, "url": target.key, "upsert": replace, "purpose": "upload"}
        token = self._token(claims, self._settings.upload_url_seconds)
        return JSONResponse({"url": f"/object/upload/sign/{target.key}?token={token}", "token": token})

    async def upload(self, request: Request) -> Response:
        """Take in the object that the address stands for. The right to it was judged when the address was made."""
        bucket, name = request.path_params["bucket"], request.path_params["name"]
        claims = self._claims(request, f"{bucket}/{name}", "upload")
        target = Target(await find_bucket(self._pool, bucket), name, claims["owner"], claims["upsert"])
        await self._uploads.check_free(target)
        await self._uploads.receive(request, target)
        return JSONResponse({"Key": target.key})

    def _address(self, bucket: str, name: str, seconds: int) -> str:
        token = self._token({"url": f"{bucket}/{name}", "purpose": "read"}, seconds)
        return f"/object/sign/{bucket}/{name}?token={token}"

    def _token(self, claims: dict[str, Any], seconds: int) -> str:
        now = int(time.time())
        return jwt.encode({**claims, "iat": now, "exp": now + seconds}, self._key, "HS256")

    def _claims(self, request: Request, url: str, purpose: str = "read") -> dict[str, Any]:
        """What the request's token says, if it is good for `url`."""
        token = request.query_params.get("token")
        if not token:
            raise StorageError(400, "Error", "querystring must have required property 'token'")
        try:
            claims: dict[str, Any] = jwt.decode(token, self._key, ["HS256"], options={"require": ["exp"]})
        except jwt.ExpiredSignatureError:
            raise StorageError(400, "InvalidJWT", '"exp" claim timestamp check failed') from None
        except jwt.InvalidTokenError:
            raise StorageError(400, "InvalidJWT", "signature verification failed") from None
        if (claims.get("url"), claims.get("purpose")) != (url, purpose):
            raise StorageError(400, "InvalidSignature", "Invalid signature")
        return claims


def _seconds(wish: dict[str, Any]) -> int:
    """How long an address is to be good for; the Python client sends the number as text."""
    value = wish.get("expiresIn")
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LONGEST_SECONDS:
        raise invalid("body/expiresIn must be >= 1")
    return value
