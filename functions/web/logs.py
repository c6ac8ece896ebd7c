"""Structured logs: one JSON object a line on standard output, without secrets."""

import contextlib
import json
import re
import sys
from typing import TextIO

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

_NAMES = r"access_token|refresh_token|id_token|token|apikey|api_key|client_secret|secret|password|signature"
_IN_TEXT = re.compile(rf"(?i)\b({_NAMES})(\s*=\s*[\\\"']*)[^\s&\\\"',}}]+")
"""As in an address or a message: `access_token=…`."""
_IN_JSON = re.compile(rf"(?i)\b({_NAMES})(\\*[\"']\s*:\s*\\*[\"'])[^\\\"']+")
"""As in JSON or a printed dict, where a quoted value follows a quoted name."""
_IN_URL = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@\"']*:)[^\s/@\"']+@")
"""As in a database's address: `postgresql://user:…@host`."""
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+")
_JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
_SIGNS = (*_NAMES.split("|"), "bearer", "basic", "eyj", "://")
"""Without one of these, in any case, a text holds nothing that the patterns find: most lines are spared them."""


def get_logger(stream: TextIO | None = None) -> structlog.stdlib.BoundLogger:
    """A logger of its own configuration: nothing global is touched, so a host may configure its own.

    Args:
        stream: where lines go; standard output by default.
    """
    return structlog.wrap_logger(  # type: ignore[no-any-return]
        Lines(stream or sys.stdout),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )


class Lines(structlog.WriteLogger):
    """Writes lines where it can: a log that is full or closed must not end the work it tells of."""

    def msg(self, message: str) -> None:
        """Write one line, or nothing."""
        with contextlib.suppress(OSError, ValueError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def redact(text: str) -> str:
    """`text` without what looks like a credential: tokens in addresses, headers and JSON, and JWTs."""
    lowered = text.lower()
    if not any(sign in lowered for sign in _SIGNS):
        return text
    text = _IN_JSON.sub(r"\1\2***", _IN_TEXT.sub(r"\1\2***", _IN_URL.sub(r"\1***@", text)))
    return _JWT.sub("***", _BEARER.sub(r"\1 ***", text))


def _render(_: WrappedLogger, __: str, event: EventDict) -> str:
    try:
        line = orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # half a surrogate pair, for instance: a line must never fail what it tells of
        line = json.dumps(event, default=str, skipkeys=True)
    return redact(line)
