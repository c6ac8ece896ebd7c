"""The keys of a local project: the same well-known ones that the Supabase CLI hands out.

They protect nothing and never change, so an `.env` written for the CLI's local stack works here too.
A project may have signing keys of its own besides; then its users' tokens are signed by those.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jwt

from devstack.signing import SigningKey, configured_keys
from devstack.tokens import secret_as_jwk

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
    `secret_key` are their opaque successors, which only the gateway understands. The first of
    `signing_keys` signs users' tokens, and the secret where there are none; tokens of all of them are
    believed.
    """

    jwt_secret: str
    anon_key: str
    service_role_key: str
    publishable_key: str
    secret_key: str
    signing_keys: tuple[SigningKey, ...] = ()

    @property
    def jwks(self) -> str:
        """What services check tokens with, as a JWK set: the public halves and the shared secret."""
        return json.dumps({"keys": [*(dict(key.public) for key in self.signing_keys), secret_as_jwk(self.jwt_secret)]})


def project_keys(config: Path) -> ProjectKeys:
    """The keys of the project with this config.toml.

    Raises:
        SigningKeysError: it names a file of signing keys that cannot be used.
    """
    return local_keys(configured_keys(config))


def local_keys(signing_keys: tuple[SigningKey, ...] = ()) -> ProjectKeys:
    """The keys of every local project, and those that are this one's own."""
    return ProjectKeys(
        jwt_secret=JWT_SECRET,
        anon_key=_sign("anon"),
        service_role_key=_sign("service_role"),
        publishable_key=PUBLISHABLE_KEY,
        secret_key=SECRET_KEY,
        signing_keys=signing_keys,
    )


def _sign(role: str) -> str:
    return jwt.encode({"iss": _ISSUER, "role": role, "exp": _EXPIRES}, JWT_SECRET, algorithm="HS256")
