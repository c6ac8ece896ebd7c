"""Addresses for files in the project's own Storage, made when they are needed: a post may wait for days."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import httpx

from functions.jobs.outcomes import JobError
from functions.platforms.answers import CallFailed, Permanent, TryAgain
from functions.platforms.calls import Timeouts
from functions.platforms.media_urls import BUCKET, stored_path
from functions.platforms.post import Post
from functions.settings import Settings

LIFETIME = timedelta(hours=3)
"""Of a made address: the two hours that a platform may take, and room for the rest of the run."""


async def with_fresh_urls(post: Post, owner: UUID | None, http: httpx.AsyncClient, settings: Settings) -> Post:
    """`post` with a new signed address for each file of the owner's own in the bucket `media`.

    Raises:
        CallFailed: permanent when a file is not there, to be tried again when Storage is not well.
    """
    found = {url: path for url in {file.url for file in post.media} if (path := stored_path(url, settings, owner))}
    if not found:
        return post
    signed = await _sign(list(dict.fromkeys(found.values())), http, settings)
    media = tuple(
        file.model_copy(update={"url": signed[found[file.url]]} if file.url in found else {}) for file in post.media
    )
    return replace(post, media=media)


async def _sign(paths: Sequence[str], http: httpx.AsyncClient, settings: Settings) -> dict[str, str]:
    """A signed address for each of `paths`."""
    storage, key = f"{settings.supabase_url}/storage/v1", settings.supabase_service_role_key.get_secret_value()
    try:
        response = await http.post(
            f"{storage}/object/sign/{BUCKET}",
            headers={"apikey": key, "Authorization": f"Bearer {key}"},
            json={"expiresIn": int(LIFETIME.total_seconds()), "paths": paths},
            timeout=Timeouts().for_answer(),
        )
        answers = {answer["path"]: answer["signedURL"] for answer in response.raise_for_status().json()}
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        details = {"reason": type(error).__name__}
        reason = JobError("media_unreachable", "Storage did not make an address for the media.", details)
        raise CallFailed(TryAgain(reason)) from error
    for path in paths:
        if not answers.get(path):
            message = f"There is no file {path} in the bucket {BUCKET}: upload it again."
            raise CallFailed(Permanent(JobError("media_not_available", message)))
    return {path: str(httpx.URL(storage + answers[path])) for path in paths}  # which escapes what the path needs
