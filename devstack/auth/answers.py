"""Users and sessions as JSON, the way the official clients expect them."""

from datetime import UTC, datetime
from typing import Any

from devstack.auth.records import Identity, User
from devstack.auth.sessions import Grant
from devstack.auth.settings import AuthSettings
from devstack.auth.tokens import make_access_token

Json = dict[str, Any]

OPTIONAL_TIMES = (
    "email_confirmed_at",
    "phone_confirmed_at",
    "confirmed_at",
    "confirmation_sent_at",
    "recovery_sent_at",
    "invited_at",
    "email_change_sent_at",
    "last_sign_in_at",
    "banned_until",
    "deleted_at",
)
"""Times that are left out while they are null."""


def user_answer(user: User) -> Json:
    """A bare user."""
    times = {name: _time(getattr(user, name)) for name in OPTIONAL_TIMES if getattr(user, name) is not None}
    return {
        "id": str(user.id),
        "aud": user.aud or "",
        "role": user.role or "",
        "email": user.email or "",
        "phone": user.phone or "",
        **times,
        **({"new_email": user.email_change} if user.email_change else {}),
        "app_metadata": user.raw_app_meta_data or {},
        "user_metadata": user.raw_user_meta_data or {},
        "identities": [_identity_answer(identity) for identity in user.identities],
        "created_at": _time(user.created_at),
        "updated_at": _time(user.updated_at),
        "is_anonymous": user.is_anonymous,
    }


def session_answer(user: User, grant: Grant, settings: AuthSettings) -> Json:
    """A new access token for the session, its refresh token, and the user."""
    access_token, expires_at = make_access_token(user, grant.session, settings)
    return {
        "access_token": access_token,
        "token_type": "bearer",
        "expires_in": settings.access_token_seconds,
        "expires_at": expires_at,
        "refresh_token": grant.refresh_token,
        "user": user_answer(user),
    }


def _identity_answer(identity: Identity) -> Json:
    """Mind the names: `identity_id` is the row's id, `id` the user's id at the provider."""
    return {
        "identity_id": str(identity.id),
        "id": identity.provider_id,
        "user_id": str(identity.user_id),
        "identity_data": identity.identity_data,
        "provider": identity.provider,
        "last_sign_in_at": _time(identity.last_sign_in_at),
        "created_at": _time(identity.created_at),
        "updated_at": _time(identity.updated_at),
        **({"email": identity.email} if identity.email else {}),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
