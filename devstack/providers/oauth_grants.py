"""What the sign-in double remembers: codes, tokens, and what was done with them."""

from dataclasses import dataclass, field, replace

from devstack.providers.world import World, token_for


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user agreed to."""

    app: str
    account: str
    scopes: tuple[str, ...]
    redirect_uri: str = ""
    challenge: str = ""
    """The PKCE challenge; empty without one."""


@dataclass(slots=True)
class Grants:
    """All that was granted since the start or the last `DELETE /_state`."""

    world: World
    codes: dict[str, Grant] = field(default_factory=dict)
    refresh_tokens: dict[str, Grant] = field(default_factory=dict)
    access_tokens: dict[str, Grant] = field(default_factory=dict)
    done: list[tuple[str, str]] = field(default_factory=list)
    """(app, what), oldest first: `code`, `refresh`, `exchange`, `revoke`."""

    def forget(self) -> None:
        """Drop everything."""
        for kept in (self.codes, self.refresh_tokens, self.access_tokens, self.done):
            kept.clear()

    def new_code(self, grant: Grant) -> str:
        """A code that is good once."""
        code = f"code-{self.world.next_number()}"
        self.codes[code] = grant
        return code

    def new_access_token(self, grant: Grant, account: str | None = None) -> str:
        """A token that the platform's own double accepts for the account, or for another one that it acts for."""
        owner = account or grant.account
        token = f"{token_for(owner)}#{self.world.next_number()}"
        self.access_tokens[token] = replace(grant, account=owner)
        return token

    def new_refresh_token(self, grant: Grant) -> str:
        """A token to renew with."""
        token = f"refresh-{self.world.next_number()}"
        self.refresh_tokens[token] = grant
        return token

    def revoke(self, token: str) -> None:
        """Take back everything of the grant that `token` belongs to."""
        grant = self.refresh_tokens.get(token) or self.access_tokens.get(token)
        if grant is None:
            return
        for kept in (self.refresh_tokens, self.access_tokens):
            for each in [one for one, its in kept.items() if (its.app, its.account) == (grant.app, grant.account)]:
                del kept[each]
