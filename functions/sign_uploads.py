"""`POST /api/media/uploads`: addresses to which the caller's own media can be uploaded, before it is published."""

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import functions_framework.aio
import httpx
import jwt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from functions.platforms.media_urls import BUCKET, MOST_BYTES, REFERENCE
from functions.platforms.options import OPTIONS
from functions.web.bodies import check, read_object
from functions.web.endpoint import Call, endpoint
from functions.web.errors import RETRY_AFTER_SECONDS, WebError, unauthorized
from functions.web.identity import bearer, claimed_user

MOST_FILES = 35
"""As many as one post takes, on the platform that takes most."""

STORAGE_TIMEOUT = httpx.Timeout(10, connect=5)
NO_TYPE = "application/octet-stream"
TYPES = frozenset(type_ for option in OPTIONS.values() for type_ in option.most_bytes) - {NO_TYPE}
"""What any option takes. Some take what has no type, too; the bucket does not, so that it is known what lies in it."""


def _known(type_: str) -> str:
    if type_.lower() not in TYPES:
        raise ValueError(f"must be one of {', '.join(sorted(TYPES))}")
    return type_.lower()


class NewFile(BaseModel):
    """A file that is to be uploaded."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    size: int = Field(ge=1, le=MOST_BYTES, description="bytes")
    type: Annotated[str, AfterValidator(_known)] = Field(max_length=127, description="MIME type")


class UploadRequest(BaseModel):
    """What a user wants to upload."""

    model_config = ConfigDict(extra="forbid")

    files: Annotated[list[NewFile], Field(min_length=1, max_length=MOST_FILES)]


@functions_framework.aio.http
@endpoint("POST")
async def sign_uploads(call: Call) -> Response:
    """For each file an address to PUT its bytes to, and the entry for `mediaFiles` that stands for it afterwards.

    Storage judges the caller's token, and its policies whether the caller may upload.
    """
    token = bearer(call.request)
    request = check(UploadRequest, await read_object(call.request))
    user = claimed_user(token)
    if user is None:
        raise unauthorized("invalid_token", "The bearer token is nobody's.", "Sign in and send the user's own token.")
    paths = [f"{user}/{uuid4()}/{_plain(file.name)}" for file in request.files]
    urls = await _sign(call, token, paths)
    uploads = [
        {
            "file": {**file.model_dump(), "url": f"{REFERENCE}{BUCKET}/{path}"},
            "upload": {
                "method": "PUT",
                "url": url,
                "headers": {"Content-Type": file.type},
                "expiresAt": _end_of(url),
            },
        }
        for file, path, url in zip(request.files, paths, urls, strict=True)
    ]
    return JSONResponse({"uploads": uploads})


def _plain(name: str) -> str:
    """`name` with what no address has to escape: it is for people who look into the bucket."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[-100:] or "file"


async def _sign(call: Call, token: str, paths: Sequence[str]) -> list[str]:
    """An upload address for each path.

    Raises:
        WebError: Storage does not accept the token, or cannot be had.
    """
    storage = f"{call.services.settings.supabase_url}/storage/v1"
    headers = {
        "apikey": call.services.settings.supabase_anon_key.get_secret_value(),
        "Authorization": f"Bearer {token}",
    }
    http = call.services.outside
    requests = (
        http.post(f"{storage}/object/upload/sign/{BUCKET}/{path}", headers=headers, timeout=STORAGE_TIMEOUT)
        for path in paths
    )
    try:
        answers = await asyncio.gather(*requests)
    except httpx.TransportError as error:
        call.log.warning("storage could not be reached", problem=type(error).__name__)
        raise _unavailable() from None
    return [storage + _address_in(call, answer) for answer in answers]


def _address_in(call: Call, answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        body = None
    if isinstance(body, dict) and answer.is_success and isinstance(body.get("url"), str):
        return str(body["url"])
    problem = body if isinstance(body, dict) else {}
    call.log.warning("storage refused", status=answer.status_code, problem=problem)
    raise _refusal(str(problem.get("statusCode") or answer.status_code), problem)


def _refusal(status: str, problem: dict[str, Any]) -> WebError:
    """What Storage's refusal means for the caller; older versions answer 400 with the status in the body."""
    words = f"{problem.get('error')} {problem.get('message')}".lower()
    if "row-level security" in words:
        hint = "Sign in as a user; the anon key cannot upload."
        return WebError(403, "forbidden", "The token's owner may not upload media.", hint)
    if status in ("401", "403") or "jwt" in words:
        return unauthorized("invalid_token", "Storage does not accept the token.", "Sign in again.")
    if "bucket not found" in words:
        hint = f"Tell the operator: the migrations make the bucket {BUCKET}."
        return WebError(500, "storage_not_ready", "The project has no place for media.", hint)
    return _unavailable()


def _unavailable() -> WebError:
    return WebError(
        503,
        "storage_unavailable",
        "Storage did not answer.",
        f"Send the same request again in {RETRY_AFTER_SECONDS} seconds.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _end_of(url: str) -> str | None:
    """When an upload address ends, as its token says."""
    try:
        claims = jwt.decode(httpx.URL(url).params["token"], options={"verify_signature": False})
        return datetime.fromtimestamp(claims["exp"], UTC).isoformat()
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError):
        return None
