"""What an adapter publishes, for whom, and the steps it does it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from functions.jobs.outcomes import JsonObject
from functions.platforms.answers import NotPublished, Pending, Published, Ready


class MediaFile(BaseModel):
    """A file of a post, where it was uploaded to."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, serialize_by_alias=True)

    name: str = Field(min_length=1, max_length=255)
    size: int = Field(ge=1, description="bytes")
    type: str = Field(min_length=3, max_length=127, description="MIME type")
    url: str = Field(min_length=1, max_length=4096)
    duration_seconds: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="of a video, where known"
    )
    width: int | None = Field(default=None, ge=1, description="pixels, where known")
    height: int | None = Field(default=None, ge=1, description="pixels, where known")

    @property
    def mime(self) -> str:
        """Its MIME type as the platforms write it."""
        return self.type.lower()

    @property
    def is_video(self) -> bool:
        """Whether it is a moving picture of any format."""
        return self.mime.startswith("video/")


@dataclass(frozen=True, slots=True)
class Post:
    """One post for one option; it has passed `validation.validate`."""

    option: str
    """The option's own name, never an alias."""
    media: tuple[MediaFile, ...]
    caption: str
    settings: JsonObject


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account the post goes to."""

    external_id: str
    access_token: str = field(repr=False)
    kind: str = ""
    """Which of the platform's sorts of account it is, such as LinkedIn's `person` or `organization`."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else the connection has told, nothing of it secret."""

    @classmethod
    def read(cls, credentials: Mapping[str, Any]) -> Self:
        """The account in what the database answers; `kind` and `extra` may be missing there."""
        return cls(
            credentials["external_id"],
            credentials["access_token"],
            credentials.get("kind") or "",
            credentials.get("extra") or {},
        )

    @property
    def authorization(self) -> dict[str, str]:
        """The header that every call for this account carries."""
        return {"Authorization": f"Bearer {self.access_token}"}


@dataclass(frozen=True, slots=True)
class PollPlan:
    """How often to look at something that the platform is working on."""

    delays_seconds: tuple[float, ...]
    """Before the first look, the second, and so on; the last one repeats."""
    most_looks: int
    """After so many looks the answer is not worth waiting for."""

    def delay(self, looks: int) -> float:
        """Seconds to wait when `looks` looks have been made."""
        return self.delays_seconds[min(looks, len(self.delays_seconds) - 1)]

    def scaled(self, factor: float) -> "PollPlan":
        """The same plan at another pace: delays times `factor`."""
        return replace(self, delays_seconds=tuple(seconds * factor for seconds in self.delays_seconds))


class Platform(Protocol):
    """One platform. The caller commits between `prepare` and `finish`.

    `remote` is what an earlier step has left on the platform, as JSON that goes into the job's
    checkpoint; `looks` counts the looks made at it so far. Each step raises `CallFailed`.
    """

    name: str
    polling: PollPlan

    async def prepare(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Ready | Pending | Published:
        """Everything before the irreversible call. It may be repeated: a repetition wastes, but never publishes."""

    async def finish(self, post: Post, account: Account, remote: JsonObject) -> Pending | Published:
        """The one irreversible call, directly after the commit."""

    async def poll(
        self, post: Post, account: Account, remote: JsonObject, looks: int
    ) -> Pending | Published | NotPublished:
        """Find out what became of a post whose irreversible call was made, or may have been made."""
