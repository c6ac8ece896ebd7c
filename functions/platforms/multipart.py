"""A form with one file whose bytes are passed on as they arrive, which httpx offers only for files at hand."""

import secrets
from collections.abc import AsyncIterator, Mapping


class Multipart:
    """The body `multipart/form-data`: text fields, then one file of a known length."""

    def __init__(self, fields: Mapping[str, str], file_field: str, length: int) -> None:
        self.boundary = secrets.token_hex(16)
        parts = [self._head(f'name="{name}"') + value + "\r\n" for name, value in fields.items()]
        file = self._head(f'name="{file_field}"; filename="part"', "Content-Type: application/octet-stream\r\n")
        self._before = ("".join(parts) + file).encode()
        self._after = f"\r\n--{self.boundary}--\r\n".encode()
        self._length = length

    @property
    def headers(self) -> dict[str, str]:
        """What the request must say about its body."""
        return {
            "Content-Type": f"multipart/form-data; boundary={self.boundary}",
            "Content-Length": str(len(self._before) + self._length + len(self._after)),
        }

    async def stream(self, content: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The body, with `content` as the file's bytes."""
        yield self._before
        async for part in content:
            yield part
        yield self._after

    def _head(self, disposition: str, more: str = "") -> str:
        return f"--{self.boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
