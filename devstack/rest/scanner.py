"""Reads a text from left to right, remembers where it is, and says what it expected when it fails."""

import re
from itertools import takewhile
from typing import NoReturn

from devstack.rest.errors import RestError

FIELD_NAME = "field name (* or [a..z0..9_$])"
"""What error messages call a name."""

_WORD = re.compile(r"[\w $]+")
_SPACE = re.compile(r"[ \t]*")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Scanner:
    """A text and a position in it.

    Args:
        text: what is read.
        what: its name in error messages, such as ``filter``.
        before: how many letters of the parameter stand before it: they count in the columns of error messages.
    """

    def __init__(self, text: str, what: str, before: int = 0) -> None:
        self.text, self.position = text, 0
        self._what, self._before = what, before

    @property
    def at_end(self) -> bool:
        """Whether everything was read."""
        return self.position >= len(self.text)

    def peek(self, size: int = 1) -> str:
        """What comes next, without taking it; empty at the end."""
        return self.text[self.position : self.position + size]

    def accept(self, *literals: str) -> str:
        """Take the first of `literals` that comes next, and return it; empty if none does."""
        for literal in literals:
            if self.text.startswith(literal, self.position):
                self.position += len(literal)
                return literal
        return ""

    def expect(self, *literals: str, name: str = "") -> str:
        """Take one of `literals`, or fail; `name` says in the error what they are."""
        return self.accept(*literals) or self.fail(name or " or ".join(f'"{literal}"' for literal in literals))

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Take what `pattern` matches here, and return it."""
        found = pattern.match(self.text, self.position)
        if found is None:
            return None
        self.position = found.end()
        return found.group()

    def skip_space(self) -> None:
        """Pass over blanks and tabs."""
        self.match(_SPACE)

    def quoted(self) -> str | None:
        """Take a text in double quotes, and return what it stands for."""
        found = self.match(_QUOTED)
        return None if found is None else _ESCAPE.sub(r"\1", found[1:-1])

    def name(self) -> str:
        """Take a name: in quotes, or words joined by dashes, as `inner names-like $this`."""
        quoted = self.quoted()
        if quoted is not None:
            return quoted or self.fail("a name that is not empty")
        parts = [self.word(FIELD_NAME)]
        while self.peek() == "-" and self.peek(2) != "->":
            self.position += 1
            parts.append(self.word('letter, digit, "_" or "$"'))
        return "-".join(parts)

    def word(self, expected: str) -> str:
        """Take letters, digits, `_`, `$` and blanks; blanks around them do not count."""
        found = self.match(_WORD)
        return (found and found.strip()) or self.fail(expected)

    def end(self, expected: str = "end of input") -> None:
        """Fail unless everything was read."""
        if not self.at_end:
            self.fail(expected, unread=True)

    def fail(self, expected: str, *, unread: bool = False, like: str = "") -> NoReturn:
        """Refuse the text at this position.

        Args:
            expected: what could have come.
            unread: whether it was well up to here, but should have ended.
            like: the first word that could have come, of which a part may be there.

        Raises:
            RestError: PGRST100, always.
        """
        rest = self.text[self.position :]
        alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(like, rest, strict=False)))
        there = rest[alike:]
        quote = "'" if unread else '"'
        found = f"{quote}{there[0]}{quote}" if there else "end of input"
        raise RestError(
            400,
            "PGRST100",
            f'"failed to parse {self._what} ({self.text})" (line 1, column {self._before + self.position + 1})',
            details=f"unexpected {found} expecting {expected}",
        )
