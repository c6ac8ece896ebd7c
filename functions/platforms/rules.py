"""What an option takes: how many files of which types, how long a text, and which settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from functions.platforms.lengths import Unit
from functions.platforms.option_settings import OptionSettings


@dataclass(frozen=True, slots=True)
class Span:
    """The smallest and the largest number that will do."""

    least: float
    most: float

    def holds(self, number: float) -> bool:
        """Whether the number is not outside."""
        return self.least <= number <= self.most


@dataclass(frozen=True, slots=True)
class MediaRule:
    """One choice of media. A post fits an option when all its files fit one of the option's choices."""

    noun: str
    """What one file is, such as `image` or `image or video`."""
    most_bytes: Mapping[str, int]
    """The MIME types it takes, each with the largest size of a file."""
    fewest: int = 1
    most: int = 1
    seconds: Span | None = None
    """How long a video may last, held against files that tell it."""
    ratio: Span | None = None
    """Width divided by height, held against files that tell both."""

    def __str__(self) -> str:
        """In words: `1 video`, `0 to 10 images`."""
        plural = " or ".join(f"{word}s" for word in self.noun.split(" or "))
        count = f"{self.most}" if self.fewest == self.most else f"{self.fewest} to {self.most}"
        return f"{count} {self.noun if self.most == 1 else plural}"


@dataclass(frozen=True, slots=True)
class CaptionRule:
    """How long a caption may be."""

    limit: int
    unit: Unit
    hashtags: int | None = None
    mentions: int | None = None
    forbidden: str = ""
    """Characters that the platform refuses."""


@dataclass(frozen=True, slots=True)
class Option:
    """One `<platform>_<format>`."""

    name: str
    media: tuple[MediaRule, ...]
    """The choices, of which a post fits one."""
    caption: CaptionRule | None
    """None where the platform shows no caption: the universal one is then left out, not refused."""
    settings: type[OptionSettings]
    aliases: tuple[str, ...] = ()
    """Other names by which it may be asked for."""

    @property
    def platform(self) -> str:
        """The platform it publishes on."""
        return self.name.partition("_")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and its aliases."""
        return (self.name, *self.aliases)

    @property
    def most_bytes(self) -> dict[str, int]:
        """Every MIME type that any of its choices takes, with the largest size of a file."""
        largest: dict[str, int] = {}
        for rule in self.media:
            for mime, size in rule.most_bytes.items():
                largest[mime] = max(size, largest.get(mime, 0))
        return largest
