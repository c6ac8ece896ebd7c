"""Passwords: what is accepted, how it is hashed, how it is checked."""

import asyncio

import bcrypt

from devstack.auth.errors import AuthError, invalid

MAX_BYTES = 72
"""bcrypt reads no further."""


def check_strength(password: str, min_length: int) -> None:
    """Refuse a password that is too short or too long.

    Raises:
        AuthError: with the reasons, if it is weak.
    """
    length = len(password.encode())
    if length > MAX_BYTES:
        raise invalid(f"Password cannot be longer than {MAX_BYTES} characters")
    if length < min_length:
        message = f"Password should be at least {min_length} characters."
        raise AuthError(422, "weak_password", message, reasons=("length",))


async def hash_password(password: str, cost: int) -> str:
    """A bcrypt hash of `password`. Hashing is slow by design, so a thread does it."""
    salt = bcrypt.gensalt(cost, prefix=b"2a")  # the prefix that the real server and pgcrypto write
    return (await asyncio.to_thread(bcrypt.hashpw, password.encode(), salt)).decode()


async def password_matches(password: str, password_hash: str | None) -> bool:
    """Whether `password` is the one that was hashed; never so if there is no hash, or one of another kind."""
    try:
        return await asyncio.to_thread(bcrypt.checkpw, password.encode(), (password_hash or "").encode())
    except ValueError:
        return False
