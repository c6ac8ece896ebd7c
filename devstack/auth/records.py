"""What is known about users: rows of the database, who is to become one, and what is to change."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

AUDIENCE = "authenticated"
"""Claim `aud` of every user of a project; also the database role of whoever signs up."""

Metadata = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Identity:
    """One way in which a user can sign in: a row of `auth.identities`."""

    id: UUID
    provider_id: str
    user_id: UUID
    identity_data: Metadata
    provider: str
    last_sign_in_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    email: str | None


@dataclass(frozen=True, slots=True)
class User:
    """A row of `auth.users`, as far as Auth works with it, and its identities."""

    id: UUID
    aud: str | None
    role: str | None
    email: str | None
    phone: str | None
    encrypted_password: str | None
    email_confirmed_at: datetime | None
    phone_confirmed_at: datetime | None
    confirmed_at: datetime | None
    confirmation_sent_at: datetime | None
    recovery_sent_at: datetime | None
    invited_at: datetime | None
    email_change: str | None
    email_change_sent_at: datetime | None
    last_sign_in_at: datetime | None
    banned_until: datetime | None
    deleted_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None
    raw_app_meta_data: Metadata | None
    raw_user_meta_data: Metadata | None
    is_anonymous: bool
    identities: tuple[Identity, ...] = ()

    @property
    def is_banned(self) -> bool:
        """Whether the user may not sign in now."""
        return self.banned_until is not None and self.banned_until > datetime.now(self.banned_until.tzinfo)


@dataclass(frozen=True, slots=True)
class NewUser:
    """Someone who signs up, or whom an admin creates. `banned_for` of no time is no ban."""

    email: str
    password_hash: str
    identity_data: Metadata
    user_metadata: Metadata
    app_metadata: Metadata = field(default_factory=dict)
    id: UUID = field(default_factory=uuid4)
    role: str = AUDIENCE
    confirmed: bool = True
    confirmation_sent: bool = False
    banned_for: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class UserChanges:
    """What to change; None and empty leave a thing as it is.

    Metadata is merged at its top level, and a key whose new value is null is removed. `new_email` waits for its
    confirmation, `email` holds at once. `banned_for` of no time ends a ban.
    """

    email: str | None = None
    new_email: str | None = None
    password_hash: str | None = None
    role: str | None = None
    confirm: bool = False
    banned_for: timedelta | None = None
    user_metadata: Metadata = field(default_factory=dict)
    app_metadata: Metadata = field(default_factory=dict)
