"""The keys of a local project: the same well-known ones that the Supabase CLI hands out.

They protect nothing and never change, so an `.env` written for the CLI's local stack works here too.
"""

from dataclasses import dataclass

import jwt

JWT_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105 - public by design
PUBLISHABLE_KEY = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"  # noqa: S105 - public by design

_ISSUER = "supabase-demo"
_EXPIRES = 1983812996
"""2032-11-12, in seconds since 1970: fixed, so that the keys are the same text on every machine."""


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """What a client or server needs to talk to the project.

    `anon_key` and `service_role_key` are JWTs signed with `jwt_secret`; `publishable_key` and
    `secret_key` are their opaque successors, which only the gateway understands.
    """

    jwt_secret: str
    anon_key: str
    service_role_key: str
    publishable_key: str
    secret_key: str


def local_keys() -> ProjectKeys:
    """The keys of every local project."""
    return ProjectKeys(
        jwt_secret=JWT_SECRET,
        anon_key=_sign("anon"),
        service_role_key=_sign("service_role"),
        publishable_key=PUBLISHABLE_KEY,
        secret_key=SECRET_KEY,
    )


def _sign(role: str) -> str:
    return jwt.encode({"iss": _ISSUER, "role": role, "exp": _EXPIRES}, JWT_SECRET, algorithm="HS256")
