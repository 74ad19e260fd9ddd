"""Tokens: who speaks where the operating system cannot tell (WebSocket, foreign namespaces).

A token names its principal: an agent, in the incarnation it had when the token was minted, or ``user:<name>``. The
daemon keeps SHA-256 hashes only, in ``local.db``. A *ticket* is the secret of a one-time link: it is good for one
use within two minutes and turns into a token.

Source: DESIGN.md D5; spec/decisions.md "WebSocket, MCP, Telegram, peers".
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from thrum_kernel.api import Migration
from thrum_kernel.clock import Clock
from thrum_kernel.errors import Refused
from thrum_kernel.projection.local import LocalDb

DEFAULT_TTL_S: Final = 30 * 24 * 3600
TICKET_TTL_S: Final = 120
TOKEN_PREFIX: Final = "tok_"
TICKET_PREFIX: Final = "tkt_"
_SECRET_BYTES: Final = 32
_US: Final = 1_000_000

LOCAL_MIGRATIONS: Final = (
    Migration(
        name="bus.0001_tokens",
        statements=(
            """CREATE TABLE bus_tokens (
                token_id TEXT PRIMARY KEY, hash BLOB NOT NULL UNIQUE, principal TEXT NOT NULL,
                incarnation TEXT NOT NULL, label TEXT NOT NULL, created_us INTEGER NOT NULL,
                expires_us INTEGER NOT NULL, used_us INTEGER,
                ttl_s INTEGER -- of the token that a ticket turns into; null for a token
            ) WITHOUT ROWID""",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What is known of a token; never its text. Times in microseconds since 1970; *used_us* None = never.

    *ticket_ttl_s* is the life of the token that a ticket turns into, None for a token.
    """

    token_id: str
    principal: str
    label: str
    created_us: int
    expires_us: int
    used_us: int | None
    ticket_ttl_s: int | None


@dataclass(frozen=True, slots=True)
class Minted:
    """A new token or ticket: its text is told once."""

    text: str
    token_id: str
    principal: str
    expires_us: int


class TokenGrant:
    """What a verified token gives its connection; implements `call.Grant`."""

    def __init__(
        self, tokens: Tokens, token_id: str, principal: str, incarnation: str, expires_us: int
    ) -> None:
        self.token_id = token_id
        self.principal = principal
        self.expires_us = expires_us
        self._incarnation = incarnation
        self._tokens = tokens

    @property
    def is_valid(self) -> bool:
        return self._tokens.holds(self.token_id, self.principal, self._incarnation, self.expires_us)


class Tokens:
    """The tokens of one machine; belongs to the loop's thread.

    Args:
        incarnation_of: the present incarnation of a local agent by name, empty when there is none.

    Attributes:
        revoked: called with the id of each token revoked, to end its connections.
    """

    def __init__(self, local: LocalDb, clock: Clock, *, incarnation_of: Callable[[str], str]) -> None:
        self._local = local
        self._clock = clock
        self._incarnation_of = incarnation_of
        self._revoked: set[str] = set()
        self.revoked: list[Callable[[str], None]] = []

    async def mint(self, principal: str, *, ttl_s: int = DEFAULT_TTL_S, label: str = "") -> Minted:
        """A token for *principal*.

        Raises:
            Refused: *principal* is an agent that is not registered here.
        """
        return await self._make(principal, TOKEN_PREFIX, ttl_s, None, label)

    async def mint_ticket(self, principal: str, *, ttl_s: int = DEFAULT_TTL_S, label: str = "") -> Minted:
        """A ticket that turns into a token of *ttl_s* seconds.

        Raises:
            Refused: as above.
        """
        return await self._make(principal, TICKET_PREFIX, TICKET_TTL_S, ttl_s, label)

    def verify(self, text: str) -> TokenGrant:
        """The grant of a token.

        Raises:
            Refused: it is unknown, revoked or over, or its agent is gone.
        """
        rows = self._local.read(
            "SELECT token_id, principal, incarnation, expires_us FROM bus_tokens WHERE hash = ? AND ttl_s IS NULL",
            (_hash(text),),
        )
        grant = TokenGrant(self, *rows[0]) if rows else None
        if grant is None or not grant.is_valid:
            raise _refusal("token")
        token_id, now_us = grant.token_id, self._clock.now_us()
        self._local.write_later(
            lambda db: db.execute("UPDATE bus_tokens SET used_us = ? WHERE token_id = ?", (now_us, token_id))
        )
        return grant

    async def redeem(self, ticket: str) -> tuple[Minted, TokenGrant]:
        """The token that a ticket turns into; the ticket is worth nothing afterwards.

        Raises:
            Refused: it is unknown, used before or over, or its agent is gone.
        """
        now_us = self._clock.now_us()

        def take(db: sqlite3.Connection) -> tuple[str, str, str, int, int] | None:
            found = db.execute(
                "DELETE FROM bus_tokens WHERE hash = ? AND ttl_s IS NOT NULL"
                " RETURNING principal, incarnation, label, ttl_s, expires_us",
                (_hash(ticket),),
            ).fetchall()
            return found[0] if found else None

        found = await self._local.write(take)
        if found is None or found[4] <= now_us or found[1] != self._incarnation(found[0]):
            raise _refusal("link")
        principal, _incarnation, label, ttl_s, _expires_us = found
        minted = await self.mint(principal, ttl_s=ttl_s, label=label)
        return minted, self.verify(minted.text)

    async def revoke(self, token_id: str) -> bool:
        """End a token or ticket and its connections; False when there is none of this id."""
        gone = await self._local.write(
            lambda db: db.execute("DELETE FROM bus_tokens WHERE token_id = ?", (token_id,)).rowcount
        )
        if not gone:
            return False
        self._revoked.add(token_id)
        for listener in self.revoked:
            listener(token_id)
        return True

    def rows(self, *, principal: str | None = None) -> list[TokenRow]:
        """The tokens that are good now, newest first; of one principal, or all."""
        found = self._local.read(
            "SELECT token_id, principal, label, created_us, expires_us, used_us, ttl_s FROM bus_tokens"
            " WHERE expires_us > ? AND (? IS NULL OR principal = ?) ORDER BY created_us DESC, token_id",
            (self._clock.now_us(), principal, principal),
        )
        return [TokenRow(*row) for row in found]

    def holds(self, token_id: str, principal: str, incarnation: str, expires_us: int) -> bool:
        """Whether a grant once given still counts."""
        return (
            token_id not in self._revoked
            and self._clock.now_us() < expires_us
            and (bool(incarnation) or principal.startswith("user:"))
            and incarnation == self._incarnation(principal)
        )

    async def _make(self, principal: str, prefix: str, life_s: int, ttl_s: int | None, label: str) -> Minted:
        incarnation = self._incarnation(principal)
        if not incarnation and not principal.startswith("user:"):
            raise Refused(f"agent {principal} is not registered here", hint="thrum quickstart registers it")
        text = prefix + secrets.token_urlsafe(_SECRET_BYTES)
        token_id = f"id_{secrets.token_hex(6)}"
        now_us = self._clock.now_us()
        expires_us = now_us + life_s * _US
        row = (token_id, _hash(text), principal, incarnation, label, now_us, expires_us, ttl_s)

        def insert(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM bus_tokens WHERE expires_us <= ?", (now_us,))
            db.execute(
                "INSERT INTO bus_tokens (token_id, hash, principal, incarnation, label, created_us, expires_us, ttl_s)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                row,
            )

        await self._local.write(insert)
        return Minted(text, token_id, principal, expires_us)

    def _incarnation(self, principal: str) -> str:
        return "" if principal.startswith("user:") else self._incarnation_of(principal)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()


def _refusal(what: str) -> Refused:
    return Refused(
        f"the {what} is unknown, used up, revoked or over", hint="ask for a new one: thrum daemon token"
    )
