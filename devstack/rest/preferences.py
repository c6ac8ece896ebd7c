"""The `Prefer` header: what a client would like, and which of it an answer says was done."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

_CHOICES = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
}
_ORDER = ("resolution", "missing", "return", "count", "tx", "handling", "timezone", "max-affected")
"""The order in which `Preference-Applied` lists them."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was preferred; of each kind the first that is understood.

    Attributes:
        values: by kind, such as ``{"return": "minimal"}``.
        unknown: what was not understood.
    """

    values: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    def get(self, kind: str) -> str | None:
        """The value preferred for `kind`."""
        return self.values.get(kind)

    @property
    def strict(self) -> bool:
        """Whether what is not understood, or affects too many rows, is an error."""
        return self.values.get("handling") == "strict"

    @property
    def max_affected(self) -> int | None:
        """How many rows a change may touch; only strict handling heeds it."""
        value = self.values.get("max-affected")
        return int(value) if value and self.strict else None

    def applied(self, kinds: Collection[str]) -> str:
        """What `Preference-Applied` says, given the kinds that had a meaning for the request."""
        told = (kind for kind in _ORDER if kind in kinds and kind in self.values)
        return ", ".join(f"{kind}={self.values[kind]}" for kind in told if kind != "max-affected" or self.strict)


NONE = Preferences()


def parse_preferences(headers: Iterable[str], *, timezones: Collection[str] = (), may_end: bool = False) -> Preferences:
    """The preferences in every `Prefer` header of a request.

    Args:
        headers: their values.
        timezones: the names the database knows.
        may_end: whether `tx=` may decide how the transaction ends; if not it is ignored.
    """
    values: dict[str, str] = {}
    unknown = []
    for preference in filter(None, (part.strip() for header in headers for part in header.split(","))):
        kind, _, value = preference.partition("=")
        if not _is_known(kind, value, timezones):
            unknown.append(preference)
        elif kind != "tx" or may_end:
            values.setdefault(kind, value)
    return Preferences(values, tuple(unknown))


def timezone_in(headers: Iterable[str]) -> bool:
    """Whether any `Prefer` header names a time zone, so that the names must be known to judge it."""
    return any("timezone=" in header for header in headers)


def _is_known(kind: str, value: str, timezones: Collection[str]) -> bool:
    match kind:
        case "timezone":
            return value in timezones
        case "max-affected":
            return value.isascii() and value.isdecimal() and len(value) < 19
        case _:
            return value in _CHOICES.get(kind, ())
