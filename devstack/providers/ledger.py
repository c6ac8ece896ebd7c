"""What became public: one entry for every post, so that a post made twice is seen twice.

The platforms take no idempotency key, so an entry is known by what a viewer sees: the account and
the caption, joined by `post_key`, and the digest of the media. Tests give each job its own caption.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Effect:
    """One post that viewers can see."""

    provider: str
    effect: str
    key: str
    body_sha256: str
    at: str


@dataclass(slots=True)
class Ledger:
    """All effects since the start or the last `DELETE /_state`, oldest first."""

    effects: list[Effect] = field(default_factory=list)

    def record(self, provider: str, account: str, caption: str, media_sha256: str) -> None:
        """Note that a post went out."""
        moment = datetime.now(UTC).isoformat()
        self.effects.append(Effect(provider, "post", post_key(account, caption), media_sha256, moment))

    def find(self, provider: str | None, key: str | None) -> list[dict[str, str]]:
        """The effects that match; None matches everything."""
        return [
            asdict(effect)
            for effect in self.effects
            if provider in (None, effect.provider) and key in (None, effect.key)
        ]


def post_key(account: str, caption: str) -> str:
    """`<account>:<caption>`, the ledger's key of a post."""
    return f"{account}:{caption}"


def media_digest(items: Sequence[str]) -> str:
    """The digest of a post's media: of one file its own SHA-256, of several the SHA-256 of theirs in order."""
    return items[0] if len(items) == 1 else hashlib.sha256("".join(items).encode()).hexdigest()
