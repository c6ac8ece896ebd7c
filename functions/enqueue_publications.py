"""`POST /api/publications/enqueue`: publish one post by several options, one job an option."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any
from uuid import UUID

import functions_framework.aio
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import JSONResponse, Response

from filaviva.rpc import Rpc
from functions.jobs.outcomes import JobError
from functions.platforms.media_urls import check_lifetime, check_media_url
from functions.platforms.options import OPTIONS, find_option
from functions.platforms.post import MediaFile
from functions.platforms.rules import Option
from functions.platforms.validation import Problem, validate
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
    scheduled_at: AwareDatetime | None = None
    """Not before this time; the addresses of the media have to last until then."""
    priority: Annotated[int, Field(ge=0, le=10, strict=True)] = 0
    """Higher goes first, among what is due."""
    dry_run: Annotated[bool, Field(strict=True)] = False
    """Say what would be enqueued, and enqueue nothing."""

    def caption_for(self, option: Option) -> str:
        """The option's own caption, else the universal one."""
        specific = self.captions.specific
        return next((specific[name] for name in option.names if name in specific), self.captions.universal)

    def settings_for(self, option: Option) -> dict[str, Any]:
        """The option's part of the settings."""
        return next((self.settings[name] for name in option.names if name in self.settings), {})


@functions_framework.aio.http
@endpoint("POST")
async def enqueue_publications(call: Call) -> Response:
    """Enqueue what can be published and say what cannot; 422 when nothing can.

    With `dryRun` in the body, or `?dry_run=true`, nothing is enqueued and the rest of the answer is the same.
    With the header `Idempotency-Key`, each option's job gets the key `key:<option>`.
    """
    token, key = bearer(call.request), idempotency_key(call.request)
    request = check(PublicationRequest, await read_object(call.request))
    dry_run = request.dry_run or _dry_run_in(call.request.query_params.get("dry_run", "false"))
    options = _options(request)
    database = database_as(call.services, token)
    accounts = await _accounts(database, request.user_id, options)  # the first use of the token: verifies it
    same_user(request.user_id, token)

    rejected = [
        {"platform": option.name, "code": problem.code, "message": problem.message, "field": problem.field}
        for index, option in enumerate(options)
        for problem in _problems(option, f"selectedOptions.{index}", request, accounts, call.services.settings)
    ]
    refused = {entry["platform"] for entry in rejected}
    accepted = [option for option in options if option.name not in refused]
    if not accepted:
        message = "None of the selected options can be published."
        hint = "Mend what details.rejected lists, and send the request again."
        raise WebError(422, "nothing_to_publish", message, hint, {"rejected": rejected})

    if dry_run:
        return _answer([], f"{len(accepted)} publication job(s) would be enqueued", options, rejected, accepted)
    jobs = [_job(option, request, key, key or call.request_id) for option in accepted]
    enqueued = await database.enqueue_jobs(jobs)
    answer = []
    for option, job in zip(accepted, enqueued, strict=True):
        call.log.info("[Publications Enqueue API] Job created successfully", job_id=job["job_id"], option=option.name)
        answer.append({"job_id": job["job_id"], "platform": option.name, "status": job["status"]})
    return _answer(answer, f"Successfully enqueued {len(answer)} publication job(s)", options, rejected)


def _answer(
    jobs: list[dict[str, str]],
    message: str,
    options: Sequence[Option],
    rejected: list[dict[str, str]],
    would_enqueue: Sequence[Option] | None = None,
) -> Response:
    data: dict[str, Any] = {"jobs": jobs, "totalEnqueued": len(jobs), "totalRequested": len(options)}
    if would_enqueue is not None:
        data |= {"dryRun": True, "wouldEnqueue": [option.name for option in would_enqueue]}
    if rejected:
        data["rejected"] = rejected
    return JSONResponse({"success": True, "message": message, "data": data})


def _dry_run_in(value: str) -> bool:
    if value not in ("true", "false"):
        raise bad_request("invalid_field", "dry_run: must be true or false.", "Write ?dry_run=true.", "dry_run")
    return value == "true"


def _options(request: PublicationRequest) -> list[Option]:
    """The selected options; unknown or repeated names refuse the whole request, wherever they stand."""
    options = _each_once({f"selectedOptions.{index}": name for index, name in enumerate(request.selected_options)})
    _each_once({f"captions.specific.{name:.50}": name for name in request.captions.specific})
    _each_once({f"settings.{name:.50}": name for name in request.settings})
    return options


def _each_once(named: dict[str, str]) -> list[Option]:
    """The option behind each name or alias; the keys are the fields where the names stand."""
    options: list[Option] = []
    for field, name in named.items():
        option = find_option(name)
        if option is None:
            hint = f"The options are {', '.join(sorted(OPTIONS))}."
            raise bad_request("unknown_option", f"There is no option {name[:50]!r}.", hint, field)
        if option in options:
            raise bad_request("duplicate_option", f"{option.name} is named twice.", "Name every option once.", field)
        options.append(option)
    return options


async def _accounts(database: Rpc, user_id: UUID, options: Sequence[Option]) -> dict[str, str]:
    """The status of the user's account on each platform, as far as the caller may see it."""
    where = {"user_id": str(user_id), "platform": sorted({option.platform for option in options})}
    rows = await database.select("social_accounts", columns="platform,status", where=where)
    return {row["platform"]: row["status"] for row in rows}


def _problems(
    option: Option, field: str, request: PublicationRequest, accounts: dict[str, str], settings: Settings
) -> Iterator[Problem]:
    match accounts.get(option.platform):
        case None:
            yield Problem("account_missing", f"No {option.platform} account is connected.", field)
        case "reconnect":
            message = f"The {option.platform} account must be connected again."
            yield Problem("reconnect_required", message, field)
    for index, file in enumerate(request.media_files):
        try:
            check_media_url(file.url, settings, request.user_id)
            check_lifetime(file.url, settings, request.user_id, request.scheduled_at)
        except JobError as error:
            yield Problem(error.code, error.message, f"mediaFiles.{index}.url")
    yield from validate(option, request.media_files, request.caption_for(option), request.settings_for(option))


def _job(option: Option, request: PublicationRequest, key: str | None, correlation_id: str) -> dict[str, Any]:
    content = {
        "mediaFiles": [file.model_dump(exclude_none=True) for file in request.media_files],
        "caption": request.caption_for(option),
        "settings": request.settings_for(option),
    }
    return {
        "kind": KIND,
        "payload": {"option": option.name, "platform": option.platform, "content": content},
        "correlation_id": correlation_id,  # what one request publishes belongs together
        "priority": request.priority,
        **({"scheduled_at": request.scheduled_at.isoformat()} if request.scheduled_at else {}),
        **({"idempotency_key": f"{key}:{option.name}"} if key else {}),
    }
