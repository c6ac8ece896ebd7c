"""HTTP calls to the platforms' sign-in servers. No secret of theirs gets into an address, a log or an error."""

import asyncio
import re
from collections.abc import Mapping
from urllib.parse import urlencode

import httpx

from functions.jobs.outcomes import JsonObject
from functions.platforms.calls import Reply, Timeouts
from functions.settings import Settings

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_DEAD = frozenset({"invalid_grant", "invalid_request", "invalid_token", "access_token_invalid", "102", "190"})
"""What the platforms answer when a token, a refresh token or a code is not, or no longer, good."""
_OPERATORS = frozenset({"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_client_key", "101"})
"""What they answer when it is the registration that is wrong."""
_PASSING = frozenset({"1", "2", "4", "17", "341", "temporarily_unavailable", "server_error", "slow_down"})


class OAuthFailed(Exception):  # noqa: N818 - its children say what happened
    """A sign-in server did not do what was asked.

    Args:
        code: the platform's own code, or ours; it holds no secret.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class OAuthRefused(OAuthFailed):
    """The platform said no to this code, token or account."""

    @property
    def is_final(self) -> bool:
        """Whether the platform has said plainly that the token is not good any more."""
        return self.code in _DEAD


class OAuthMisconfigured(OAuthFailed):
    """The platform does not know the operator's app, or not its secret."""


class OAuthUnavailable(OAuthFailed):
    """No answer, or one that says: later."""


class OAuthCalls:
    """Calls to sign-in servers.

    Args:
        http: the client for the outside.
        settings: time limits, and FILAVIVA_OAUTH_BASE_URL where another server answers for all of them.
    """

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._base = settings.oauth_base_url
        self._timeout = Timeouts.of(settings).for_answer()

    def address(self, url: str) -> str:
        """Where `url` is really called."""
        return f"{self._base}/{url.removeprefix('https://')}" if self._base else url

    async def post(
        self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None, bearer: str | None = None
    ) -> JsonObject:
        """Send a form and read the JSON object that comes back.

        Raises:
            OAuthFailed: one of its children, by what went wrong.
        """
        auth = httpx.BasicAuth(*basic) if basic else None
        return await self._send("POST", url, bearer, data=dict(form), auth=auth)

    async def get(
        self, url: str, parameters: Mapping[str, str] | None = None, *, bearer: str | None = None
    ) -> JsonObject:
        """Read a JSON object.

        Raises:
            OAuthFailed: one of its children.
        """
        # Meta takes secrets in the query. As the target of the request they stay out of its URL, which httpx logs.
        path = httpx.URL(self.address(url)).raw_path
        target = path + b"?" + urlencode(parameters).encode() if parameters else path
        return await self._send("GET", url, bearer, extensions={"target": target})

    async def delete(self, url: str, *, bearer: str) -> JsonObject:
        """Delete what is at `url`.

        Raises:
            OAuthFailed: one of its children.
        """
        return await self._send("DELETE", url, bearer)

    async def _send(
        self,
        method: str,
        url: str,
        bearer: str | None,
        *,
        data: dict[str, str] | None = None,
        auth: httpx.BasicAuth | None = None,
        extensions: dict[str, bytes] | None = None,
    ) -> JsonObject:
        headers = {"Accept": "application/json", **({"Authorization": f"Bearer {bearer}"} if bearer else {})}
        request = self._http.build_request(
            method, self.address(url), data=data, headers=headers, timeout=self._timeout, extensions=extensions
        )
        try:
            async with asyncio.timeout((self._timeout.connect or 0) + (self._timeout.read or 0)):
                reply = Reply.read(await self._http.send(request, auth=auth, follow_redirects=False))
        except (httpx.HTTPError, TimeoutError):
            raise OAuthUnavailable("no_answer") from None  # its text may quote what was sent
        return _checked(reply)


def _checked(reply: Reply) -> JsonObject:
    code = _error_code(reply)
    if reply.status < 400 and code in {"", "ok"}:
        return reply.body
    if reply.status == 429 or reply.status >= 500 or code in _PASSING:
        raise OAuthUnavailable(code or f"http_{reply.status}")
    if code in _OPERATORS:
        raise OAuthMisconfigured(code)
    raise OAuthRefused(code or f"http_{reply.status}")


def _error_code(reply: Reply) -> str:
    """The code in an error of any shape; empty without one. Free words are dropped: they may quote a token."""
    error = reply.body.get("error") or (reply.body.get("code") if reply.status >= 400 else None) or ""
    if isinstance(error, dict):
        error = error.get("code", error.get("status", ""))
    text = str(error)
    return text if _CODE.fullmatch(text) else f"http_{reply.status}" if text else ""
