"""The addresses under which media is given: what they may be, judged before anything is fetched.

Media travels as an https address of the open internet, as an address of the project's own Storage, or as
`storage:media/<path>`, a file in the project's bucket `media` for which the worker makes an address when it
needs one. docs/media.md tells it to app developers.
"""

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import jwt

from functions.jobs.outcomes import JobError
from functions.settings import Settings
from functions.web.addresses import names_public_host
from functions.web.outside import host_and_port, operators_addresses

BUCKET = "media"
REFERENCE = "storage:"
MOST_BYTES = 5_000_000_000
"""The largest file that the bucket takes."""
NEEDED_LIFETIME = timedelta(hours=2)
"""How long a platform may take to fetch what it is given the address of."""

_OBJECTS = "/storage/v1/object/"
_FILE = re.compile(r"/storage/v1/(object|render/image)/(public|sign|authenticated)/[^/]+/.")
_PATH = re.compile(r"[\w/!.*'() &$@=;:+,-]{1,900}", re.ASCII)
"""What Storage takes as a name, without the question mark, which ends a path in an address."""
_USER_NAME = re.compile(r"[^/?#]*//[^/?#]*@")
_NOT_IN_URLS = re.compile(r"[\s\\\x00-\x1f\x7f]")


def check_media_url(url: str, settings: Settings, owner: UUID | None = None) -> None:
    """Refuse an address that media may not be fetched from.

    Allowed are public https addresses on port 443, addresses of the project's own Storage, the hosts of
    MEDIA_ALLOWED_HOSTS, and the owner's own files as `storage:media/<owner>/…`. Nothing is resolved or connected to.

    Raises:
        JobError: `media_url_not_allowed`, or `media_not_yours` for somebody else's file.
    """
    if url.startswith(REFERENCE):
        path = _path_in(url.removeprefix(REFERENCE))
        if path is None:
            raise _not_allowed(f"must be {REFERENCE}{BUCKET}/<your user id>/<file>, as the upload's answer says it")
        if not _belongs(path, owner):
            raise JobError("media_not_yours", "The media lies in the folder of another user: upload it as your own.")
        return
    address = _parsed(url)
    if _is_in_own_storage(address, settings) or _is_listed(address, settings):
        return
    if host_and_port(address) in operators_addresses(settings):  # which may be private: `outside` lets them pass
        raise _not_allowed("must lead into the project's Storage, or to a server that is none of the project's own")
    if address.scheme != "https":
        raise _not_allowed("must start with https://, or belong to the project or to MEDIA_ALLOWED_HOSTS")
    if address.port not in (None, 443):
        raise _not_allowed("must use port 443, or belong to MEDIA_ALLOWED_HOSTS")
    if not names_public_host(address.raw_host.decode("ascii")):
        raise _not_allowed("must name a public host: no local name, private address or unusual notation")


def check_lifetime(url: str, settings: Settings, owner: UUID, publish_at: datetime | None = None) -> None:
    """Refuse a signed address of the project that ends too soon after `publish_at` (default: now).

    Addresses of the owner's files in the bucket `media` always pass: new ones are made of them.

    Raises:
        JobError: `media_url_expires_too_soon`.
    """
    ends = _expires_at(url, settings)
    if ends is None or stored_path(url, settings, owner):
        return
    needed = (publish_at or datetime.now(UTC)) + NEEDED_LIFETIME
    if ends < needed:
        message = (
            f"The media's address expires at {ends:%Y-%m-%d %H:%M} UTC; it must last until {needed:%Y-%m-%d %H:%M} UTC."
            f" Send {REFERENCE}{BUCKET}/<path> instead, which does not expire."
        )
        raise JobError("media_url_expires_too_soon", message)


def stored_path(url: str, settings: Settings, owner: UUID | None) -> str | None:
    """The path in the bucket `media` of a file of the owner's own, or None where `url` is anything else."""
    if url.startswith(REFERENCE):
        path = _path_in(url.removeprefix(REFERENCE))
    else:
        address = _parsed(url)
        path = _path_in(_object_in(address)) if _is_own(address, settings) else None
    return path if path and _belongs(path, owner) else None


def _object_in(address: httpx.URL) -> str:
    """`<bucket>/<path>` of an address of Storage, else nothing."""
    _, found, rest = address.path.partition(_OBJECTS)
    access, _, object_ = rest.partition("/")
    return object_ if found and access in ("sign", "authenticated") else ""


def _path_in(object_: str) -> str | None:
    """The path of `media/<path>`, where it can be one."""
    bucket, _, path = object_.partition("/")
    plain = _PATH.fullmatch(path) and not {"", ".", ".."} & set(path.split("/"))
    return path if bucket == BUCKET and plain else None


def _belongs(path: str, owner: UUID | None) -> bool:
    return owner is not None and path.startswith(f"{owner}/")


def _expires_at(url: str, settings: Settings) -> datetime | None:
    """When a signed address of the project's Storage ends; None for one that does not, or not in a way we can read."""
    if url.startswith(REFERENCE):
        return None
    address = _parsed(url)
    if not _is_own(address, settings) or f"{_OBJECTS}sign/" not in address.path:
        return None
    try:
        claims = jwt.decode(address.params.get("token", ""), options={"verify_signature": False})
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (jwt.InvalidTokenError, KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _parsed(url: str) -> httpx.URL:
    if _NOT_IN_URLS.search(url):
        raise _not_allowed("must hold no spaces, line breaks or backslashes")
    try:
        address = httpx.URL(url)
        is_web = address.scheme in ("http", "https") and bool(address.host)
    except (httpx.InvalidURL, UnicodeError):  # the second is a host that cannot be one
        raise _not_allowed("is not a valid address") from None
    if not is_web or _USER_NAME.match(url):
        raise _not_allowed("must start with https:// and hold no user name")
    return address


def _is_in_own_storage(address: httpx.URL, settings: Settings) -> bool:
    """Whether a file of Storage is meant, and no other service of the project's by a way around it."""
    project, path = httpx.URL(settings.supabase_url).path.rstrip("/"), address.path
    plain = not {"", ".", ".."} & set(path.split("/")[1:]) and not set(path) & set("%\\")
    file = path.startswith(project) and _FILE.match(path, len(project))
    return _is_own(address, settings) and plain and bool(file)


def _is_own(address: httpx.URL, settings: Settings) -> bool:
    project = httpx.URL(settings.supabase_url)
    return (address.scheme, address.netloc) == (project.scheme, project.netloc)


def _is_listed(address: httpx.URL, settings: Settings) -> bool:
    host = address.netloc.decode("ascii").removesuffix(f":{address.port}")
    port = address.port or (443 if address.scheme == "https" else 80)
    return bool({host, f"{host}:{port}"} & set(settings.media_allowed_hosts))


def _not_allowed(problem: str) -> JobError:
    return JobError("media_url_not_allowed", f"The media's address {problem}.")
