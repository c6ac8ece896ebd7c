"""What the server says when it refuses, as errors that say what to do, and whether asking again can help."""

from websockets.exceptions import InvalidStatus

from filaviva.errors import (
    WRONG_KEY_HINT,
    FilaVivaError,
    Forbidden,
    InvalidRequest,
    NotSignedIn,
    PayloadTooLarge,
    RateLimited,
    Unavailable,
    wrong_url,
)

_TOKEN_WORDS = (
    "InvalidJWTToken", "MalformedJWT", "JwtSignatureError", "JwtSignerError", "Token has expired",
    "The token provided is not a valid JWT", "Fields `role` and `exp`", "Failed to validate JWT",
)  # fmt: skip
_RIGHT_WORDS = ("Unauthorized", "You do not have permissions", "You no longer have permission")
_PARAMETER_WORDS = (
    "Unable to subscribe to changes with given parameters", "Error parsing `filter`", "No subscription params",
    "TopicNameRequired", "PrivateOnly", "UnableToReplayMessages", "InvalidJoin",
)  # fmt: skip
_RATE_WORDS = ("RateLimitReached", "Too many")


class RefusedError(Exception):
    """The server answered a request with an error; the message is its reason."""


def refusal(reason: str) -> FilaVivaError:
    """The error that means what the server gave as its reason to refuse or end a channel."""
    if any(words in reason for words in _RATE_WORDS):
        return RateLimited(
            f"Realtime allows no more: {reason}.", code="realtime_limit", hint="It is tried again about every 30 s."
        )
    if reason.startswith(_TOKEN_WORDS):
        return NotSignedIn(f"Realtime does not accept the access token: {reason}.", code="realtime_token")
    if reason.startswith(_RIGHT_WORDS):
        return Forbidden(f"Realtime refused the channel: {reason}.", code="realtime_forbidden")
    if reason.startswith(_PARAMETER_WORDS):
        hint = "Check that the table is in the publication supabase_realtime and that its column may be read."
        return InvalidRequest(f"Realtime refused the subscription: {reason}.", code="realtime_subscription", hint=hint)
    if reason == "payload_size_exceeded":
        hint = "Send less, or put it into a table and send its id."
        return PayloadTooLarge("Realtime takes no message of this size.", code="realtime_payload", hint=hint)
    return Unavailable(f"Realtime is not there: {reason}.", code="realtime_unavailable")


def is_worth_repeating(error: FilaVivaError) -> bool:
    """Whether the same request may succeed later without anybody doing something."""
    return isinstance(error, Unavailable | RateLimited)


def refused_handshake(error: InvalidStatus) -> FilaVivaError:
    """The error of a socket that the server would not open."""
    status = error.response.status_code
    said = bytes(error.response.body or b"")[:200].decode(errors="replace") or f"status {status}"
    if status == 403:
        hint = "Check the URL, and that Realtime is enabled for the project."
        return Forbidden(f"Realtime refused the connection: {said}.", code="realtime_forbidden", hint=hint)
    if status == 401:
        return NotSignedIn(f"Realtime does not accept the key: {said}.", code="realtime_key", hint=WRONG_KEY_HINT)
    if status == 404:
        return wrong_url("there is no Realtime at its path", 404)
    if status == 429:
        return RateLimited(f"Realtime opens no more sockets: {said}.", code="realtime_limit")
    return Unavailable(f"Realtime opened no socket: {said}.", code="realtime_unavailable", status=status)
