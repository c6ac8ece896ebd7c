"""`POST /api/publications/enqueue`: publish one post by several options, one job an option."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

import functions_framework.aio
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse, Response

from filaviva.rpc import Rpc
from functions.jobs.outcomes import JobError
from functions.platforms.media import check_media_url
from functions.platforms.options import OPTIONS, Option, Problem, validate
from functions.platforms.post import MediaFile
from functions.settings import Settings
from functions.web.bodies import check, idempotency_key, read_object
from functions.web.endpoint import Call, endpoint
from functions.web.engine import database_as
from functions.web.errors import WebError, bad_request
from functions.web.identity import bearer, same_user

KIND = "publish_post"


class _Camel(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class Captions(_Camel):
    """The text of the post, and where an option has its own."""

    universal: str = ""
    specific: dict[str, str] = {}


class PublicationRequest(_Camel):
    """What a user wants published."""

    user_id: UUID
    selected_options: Annotated[list[str], Field(min_length=1, max_length=100)]
    media_files: Annotated[list[MediaFile], Field(max_length=100)] = []
    captions: Captions = Captions()
    settings: dict[str, dict[str, Any]] = {}

    def caption_for(self, option: str) -> str:
        """The option's own caption, else the universal one."""
        return self.captions.specific.get(option, self.captions.universal)

    def settings_for(self, option: str) -> dict[str, Any]:
        """The option's part of the settings."""
        return self.settings.get(option, {})


@functions_framework.aio.http
@endpoint("POST")
async def enqueue_publications(call: Call) -> Response:
    """Enqueue what can be published and say what cannot; 422 when nothing can.

    With the header `Idempotency-Key`, each option's job gets the key `key:<option>`.
    """
    token, key = bearer(call.request), idempotency_key(call.request)
    request = check(PublicationRequest, await read_object(call.request))
    options = _options(request)
    database = database_as(call.services, token)
    accounts = await _accounts(database, request.user_id, options)  # the first use of the token: verifies it
    same_user(request.user_id, token)

    rejected = [
        {"platform": option.name, "code": problem.code, "message": problem.message, "field": problem.field}
        for option in options
        for problem in _problems(option, request, accounts, call.services.settings)
    ]
    refused = {entry["platform"] for entry in rejected}
    accepted = [option for option in options if option.name not in refused]
    if not accepted:
        message = "None of the selected options can be published."
        hint = "Mend what details.rejected lists, and send the request again."
        raise WebError(422, "nothing_to_publish", message, hint, {"rejected": rejected})

    jobs = [_job(option, request, key, key or call.request_id) for option in accepted]
    enqueued = await database.enqueue_jobs(jobs)
    answer = []
    for option, job in zip(accepted, enqueued, strict=True):
        call.log.info("[Publications Enqueue API] Job created successfully", job_id=job["job_id"], option=option.name)
        answer.append({"job_id": job["job_id"], "platform": option.name, "status": job["status"]})
    data: dict[str, Any] = {"jobs": answer, "totalEnqueued": len(answer), "totalRequested": len(options)}
    if rejected:
        data["rejected"] = rejected
    message = f"Successfully enqueued {len(answer)} publication job(s)"
    return JSONResponse({"success": True, "message": message, "data": data})


def _options(request: PublicationRequest) -> list[Option]:
    """The selected options; unknown or repeated names refuse the whole request."""
    for index, name in enumerate(request.selected_options):
        if name in request.selected_options[:index]:
            hint = "Select every option once."
            raise bad_request("duplicate_option", f"{name:.50} is selected twice.", hint, f"selectedOptions.{index}")
        _known(name, f"selectedOptions.{index}")
    for name in request.captions.specific:
        _known(name, f"captions.specific.{name:.50}")
    for name in request.settings:
        _known(name, f"settings.{name:.50}")
    return [OPTIONS[name] for name in request.selected_options]


def _known(name: str, field: str) -> None:
    if name not in OPTIONS:
        hint = f"The options are {', '.join(sorted(OPTIONS))}."
        raise bad_request("unknown_option", f"There is no option {name[:50]!r}.", hint, field)


async def _accounts(database: Rpc, user_id: UUID, options: Sequence[Option]) -> dict[str, str]:
    """The status of the user's account on each platform, as far as the caller may see it."""
    where = {"user_id": str(user_id), "platform": sorted({option.platform for option in options})}
    rows = await database.select("social_accounts", columns="platform,status", where=where)
    return {row["platform"]: row["status"] for row in rows}


def _problems(
    option: Option, request: PublicationRequest, accounts: dict[str, str], settings: Settings
) -> Iterator[Problem]:
    field = f"selectedOptions.{request.selected_options.index(option.name)}"
    match accounts.get(option.platform):
        case None:
            yield Problem("account_missing", f"No {option.platform} account is connected.", field)
        case "reconnect":
            message = f"The {option.platform} account must be connected again."
            yield Problem("reconnect_required", message, field)
    for index, file in enumerate(request.media_files):
        try:
            check_media_url(file.url, settings)
        except JobError as error:
            yield Problem(error.code, error.message, f"mediaFiles.{index}.url")
    caption = request.caption_for(option.name)
    yield from validate(option, request.media_files, caption, request.settings_for(option.name))


def _job(option: Option, request: PublicationRequest, key: str | None, correlation_id: str) -> dict[str, Any]:
    content = {
        "mediaFiles": [file.model_dump() for file in request.media_files],
        "caption": request.caption_for(option.name),
        "settings": request.settings_for(option.name),
    }
    return {
        "kind": KIND,
        "payload": {"option": option.name, "platform": option.platform, "content": content},
        "correlation_id": correlation_id,  # what one request publishes belongs together
        **({"idempotency_key": f"{key}:{option.name}"} if key else {}),
    }
