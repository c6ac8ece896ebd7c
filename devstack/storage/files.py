"""The bytes of objects, on disk. A file is named by the version of its object, never by what a client sent."""

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from starlette.requests import Request


class Files:
    """One folder of bytes."""

    def __init__(self, folder: Path) -> None:
        self._bytes = folder / "bytes"

    def prepare(self) -> None:
        """Make the folder, and clear away what uploads left behind that were cut off."""
        self._bytes.mkdir(parents=True, exist_ok=True)
        for draft in self._bytes.glob("*.part"):
            draft.unlink()

    def path(self, version: str) -> Path:
        """Where the bytes of a version lie."""
        if Path(version).name != version:  # rows may be written by anybody's SQL
            version = "none"
        return self._bytes / version

    async def write(self, version: str, request: Request) -> None:
        """Keep a body as the bytes of `version`: all of it, or nothing."""
        draft = self._bytes / f"{version}.part"
        try:
            with draft.open("xb") as file:
                async for chunk in request.stream():
                    file.write(chunk)
            draft.rename(self.path(version))
        finally:
            draft.unlink(missing_ok=True)

    def copy(self, version: str, source: BinaryIO) -> None:
        """Keep an open file as the bytes of `version`: all of it, or nothing."""
        draft = self._bytes / f"{version}.part"
        try:
            with draft.open("xb") as file:
                shutil.copyfileobj(source, file)
            draft.rename(self.path(version))
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, versions: Iterable[str | None]) -> None:
        """Delete the bytes of versions that no object has any more."""
        for version in versions:
            if version:
                with contextlib.suppress(FileNotFoundError):
                    self.path(version).unlink()
