"""The configuration of the functions: read once, from one mapping, checked, and passed down."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic import ValidationError as PydanticError


class SettingsError(ValueError):
    """The environment is not usable; the message names each variable and what to set it to."""


def _web_address(value: str) -> str:
    """An http(s) address without the slash at its end, so that paths can be appended."""
    try:
        parts = urlsplit(value.strip())
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or any(character.isspace() for character in value.strip()):
        raise ValueError("must be an address that starts with https:// or http://")
    return value.strip().rstrip("/")


def _header_value(secret: SecretStr) -> SecretStr:
    """A secret that can travel in an HTTP header: no spaces, nothing beyond printable ASCII."""
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be printable ASCII without spaces, since it travels in an HTTP header")
    return secret


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip().lower() for part in value.split(",") if part.strip())
    return value


def _database_address(secret: SecretStr) -> SecretStr:
    """An address of a PostgreSQL server; a secret, since it holds a password."""
    try:
        parts = urlsplit(secret.get_secret_value().strip())
        valid = parts.scheme in {"postgresql", "postgres"} and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or re.search(r"%(?![0-9A-Fa-f]{2})", secret.get_secret_value()):
        raise ValueError(
            "must be an address that starts with postgresql:// (write special characters of the password as %XX)"
        )
    return secret


WebAddress = Annotated[str, AfterValidator(_web_address)]
DatabaseAddress = Annotated[SecretStr, AfterValidator(_database_address)]
HeaderSecret = Annotated[SecretStr, AfterValidator(_header_value)]
Hosts = Annotated[tuple[str, ...], BeforeValidator(_split)]
ClientId = Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")]


def _named(*names: str, remedy: str, **rest: Any) -> Any:
    """A field read from the first of `names` that is set; `remedy` says what to set it to."""
    return Field(validation_alias=AliasChoices(*names), description=remedy, **rest)


def _client(platform: str, part: str) -> Any:
    """A field of the operator's app at a platform, read from `<PLATFORM>_CLIENT_<PART>`."""
    remedy = f"the client {part.lower()} of your app at {platform}, as docs/accounts.md says"
    return _named(f"{platform.upper()}_CLIENT_{part}", remedy=remedy, default=None)


class Settings(BaseModel):
    """Everything the functions can be told. Secrets print as asterisks."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, validate_by_name=True, validate_default=True
    )

    supabase_url: WebAddress = _named(
        "SUPABASE_URL",
        "NEXT_PUBLIC_SUPABASE_URL",
        remedy="the project's API address, such as https://abc.supabase.co or http://127.0.0.1:54321",
    )
    supabase_anon_key: HeaderSecret = _named(
        "SUPABASE_ANON_KEY", "NEXT_PUBLIC_SUPABASE_ANON_KEY", remedy="the project's anon or publishable key"
    )
    supabase_service_role_key: HeaderSecret = _named(
        "SUPABASE_SERVICE_ROLE_KEY", remedy="the project's service_role or secret key"
    )
    cron_secret: HeaderSecret = _named(
        "CRON_SECRET", remedy="a long random text; the same one belongs into Vault as filaviva_drain_token"
    )

    supabase_db_url: DatabaseAddress | None = _named(
        "SUPABASE_DB_URL",
        remedy="the database's address, such as postgresql://postgres:<password>@db.abc.supabase.co:5432/postgres:"
        " the direct one or the session pooler's, since listening needs a session (through port 6543 it only polls)",
        default=None,
    )
    """Only `filaviva worker` uses it."""

    tiktok_base_url: WebAddress = _named(
        "TIKTOK_BASE_URL", remedy="the address of TikTok's API", default="https://open.tiktokapis.com"
    )
    instagram_base_url: WebAddress = _named(
        "INSTAGRAM_BASE_URL", remedy="the address of Instagram's Graph API", default="https://graph.facebook.com"
    )
    instagram_api_version: str = _named(
        "INSTAGRAM_API_VERSION",
        remedy="a version of the Graph API, such as v26.0",
        default="v26.0",
        pattern=r"^v\d+\.\d+$",
    )
    instagram_login_base_url: WebAddress = _named(
        "INSTAGRAM_LOGIN_BASE_URL",
        remedy="the address of Instagram's Graph API for accounts that signed in with Instagram itself",
        default="https://graph.instagram.com",
    )
    facebook_base_url: WebAddress = _named(
        "FACEBOOK_BASE_URL", remedy="the address of Facebook's Graph API", default="https://graph.facebook.com"
    )
    facebook_video_base_url: WebAddress = _named(
        "FACEBOOK_VIDEO_BASE_URL",
        remedy="the address that Facebook takes videos of the feed at",
        default="https://graph-video.facebook.com",
    )
    facebook_api_version: str = _named(
        "FACEBOOK_API_VERSION",
        remedy="a version of the Graph API, such as v26.0",
        default="v26.0",
        pattern=r"^v\d+\.\d+$",
    )
    threads_base_url: WebAddress = _named(
        "THREADS_BASE_URL", remedy="the address of the Threads API", default="https://graph.threads.net"
    )
    threads_api_version: str = _named(
        "THREADS_API_VERSION",
        remedy="a version of the Threads API, such as v1.0",
        default="v1.0",
        pattern=r"^v\d+\.\d+$",
    )
    linkedin_base_url: WebAddress = _named(
        "LINKEDIN_BASE_URL", remedy="the address of LinkedIn's API", default="https://api.linkedin.com"
    )
    linkedin_api_version: str = _named(
        "LINKEDIN_API_VERSION",
        remedy="a month of LinkedIn's API, such as 202607; each is served for about a year",
        default="202607",
        pattern=r"^20\d{2}(0[1-9]|1[0-2])$",
    )
    x_base_url: WebAddress = _named("X_BASE_URL", remedy="the address of X's API", default="https://api.x.com")
    youtube_base_url: WebAddress = _named(
        "YOUTUBE_BASE_URL", remedy="the address of Google's API", default="https://www.googleapis.com"
    )
    site_url: WebAddress | None = _named(
        "SITE_URL",
        "NEXT_PUBLIC_SITE_URL",
        remedy="the address of the site, such as https://app.example.com; the functions answer under its /api",
        default=None,
    )
    """Platforms send users back to it when they connect an account."""
    accounts_page: str = _named(
        "FILAVIVA_ACCOUNTS_PAGE",
        remedy="the page of the site that lists the accounts, such as /settings/accounts",
        default="/",
        pattern=r"^/([\w.-][\w./-]*)?$",
    )
    oauth_base_url: WebAddress | None = _named(
        "FILAVIVA_OAUTH_BASE_URL",
        remedy="a server that stands for the platforms' sign-in servers, for tests; leave it unset in production",
        default=None,
    )
    tiktok_client_key: ClientId | None = _client("TikTok", "KEY")
    tiktok_client_secret: HeaderSecret | None = _client("TikTok", "SECRET")
    facebook_client_id: ClientId | None = _client("Facebook", "ID")
    facebook_client_secret: HeaderSecret | None = _client("Facebook", "SECRET")
    instagram_client_id: ClientId | None = _client("Instagram", "ID")
    instagram_client_secret: HeaderSecret | None = _client("Instagram", "SECRET")
    threads_client_id: ClientId | None = _client("Threads", "ID")
    threads_client_secret: HeaderSecret | None = _client("Threads", "SECRET")
    youtube_client_id: ClientId | None = _client("YouTube", "ID")
    youtube_client_secret: HeaderSecret | None = _client("YouTube", "SECRET")
    x_client_id: ClientId | None = _client("X", "ID")
    x_client_secret: HeaderSecret | None = _client("X", "SECRET")
    linkedin_client_id: ClientId | None = _client("LinkedIn", "ID")
    linkedin_client_secret: HeaderSecret | None = _client("LinkedIn", "SECRET")

    media_allowed_hosts: Hosts = _named(
        "MEDIA_ALLOWED_HOSTS", remedy="hosts that media may come from, separated by commas", default=()
    )

    platform_connect_seconds: float = _named(
        "FILAVIVA_PLATFORM_CONNECT_SECONDS",
        remedy="seconds that connecting to a platform may take, 0.01 to 600",
        default=10,
        ge=0.01,
        le=600,
    )
    platform_answer_seconds: float = _named(
        "FILAVIVA_PLATFORM_ANSWER_SECONDS",
        remedy="seconds that a platform may take to answer a call, 0.01 to 600",
        default=30,
        ge=0.01,
        le=600,
    )
    platform_upload_seconds: float = _named(
        "FILAVIVA_PLATFORM_UPLOAD_SECONDS",
        remedy="seconds that a platform may take over a part of an upload, 0.01 to 3600",
        default=300,
        ge=0.01,
        le=3600,
    )
    poll_scale: float = _named(
        "FILAVIVA_POLL_SCALE",
        remedy="how fast the platforms are polled, 0.01 to 10: below 1 is oftener than they ask for",
        default=1,
        ge=0.01,
        le=10,
    )

    drain_concurrency: int = _named(
        "FILAVIVA_DRAIN_CONCURRENCY", remedy="jobs of one queue run at a time, 1 to 500", default=10, ge=1, le=500
    )
    drain_budget_seconds: float = _named(
        "FILAVIVA_DRAIN_BUDGET_SECONDS",
        remedy="seconds after which a drain claims no more, 1 to 3600, below the host's limit for one call",
        default=50,
        ge=1,
        le=3600,
    )
    drain_linger_seconds: float = _named(
        "FILAVIVA_DRAIN_LINGER_SECONDS",
        remedy="seconds a drain stays when it finds nothing, 0 to 60",
        default=2.5,
        ge=0,
        le=60,
    )
    shutdown_grace_seconds: float = _named(
        "FILAVIVA_SHUTDOWN_GRACE_SECONDS",
        remedy="seconds that running jobs get to finish when the process is told to stop, 0 to 600",
        default=15,
        ge=0,
        le=600,
    )

    worker_concurrency: int = _named(
        "FILAVIVA_WORKER_CONCURRENCY",
        remedy="jobs that one long-running worker runs at a time, over all its queues, 1 to 1000",
        default=100,
        ge=1,
        le=1000,
    )
    worker_poll_seconds: float = _named(
        "FILAVIVA_WORKER_POLL_SECONDS",
        remedy="seconds after which an idle worker looks although nobody has woken it, 0.05 to 3600",
        default=1,
        ge=0.05,
        le=3600,
    )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; a variable that is empty counts as not set.

        Raises:
            SettingsError: naming every variable that is missing or malformed, and the remedy.
        """
        try:
            return cls.model_validate({name: value for name, value in environ.items() if value.strip()})
        except PydanticError as error:
            problems = [cls._explain(str(problem["loc"][0]), problem["msg"]) for problem in error.errors()]
            raise SettingsError("\n".join(problems)) from None

    @classmethod
    def _explain(cls, place: str, problem: str) -> str:
        for name, field in cls.model_fields.items():
            aliases = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
            if place in {name, *aliases}:
                reason = problem.removeprefix("Value error, ").replace("Field required", "is not set")
                return f"{place}: {reason}. Set it to {field.description}."
        return f"{place}: {problem}"
