"""What Auth must be told; it reads no environment of its own."""

from dataclasses import dataclass

from devstack.auth.limits import UNLIMITED, AuthLimits
from devstack.signing import SigningKey


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Settings of one project's Auth.

    Attributes:
        db_dsn: where the database is, as role `supabase_auth_admin`, which owns schema `auth`.
        jwt_secret: the project's HS256 secret: what API keys are signed with, and access tokens where there are no
            signing keys.
        issuer: claim `iss` of access tokens: the API's address followed by ``/auth/v1``.
        access_token_seconds: how long an access token is good.
        autoconfirm: whether an address counts as confirmed at once, at sign-up and when a user changes it.
            If not, only an admin can confirm it: no mail is sent.
        password_min_length: in bytes, as the real server counts.
        pool_size: the most database connections that are open at once.
        bcrypt_cost: of new password hashes; each step doubles the work.
        limits: how often one may ask; none unless told otherwise, since tests sign many up from one address.
        signing_keys: the first signs access tokens; those of all are believed, and their public halves published.
    """

    db_dsn: str
    jwt_secret: str
    issuer: str
    access_token_seconds: int = 3600
    autoconfirm: bool = True
    password_min_length: int = 6
    pool_size: int = 5
    bcrypt_cost: int = 10
    limits: AuthLimits = UNLIMITED
    signing_keys: tuple[SigningKey, ...] = ()
