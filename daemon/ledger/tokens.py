"""Tokens of the REST API, and the idempotency keys of its requests."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from daemon.domain.audit_chain import Actor
from daemon.domain.roles import AccessRole
from daemon.ledger.audit import write_audit
from daemon.ledger.drivers.port import Connection, Role, reading, transaction

PREFIX = "rcd_"
"""Of every token, so that scanners for secrets recognise one."""
TOKEN_BYTES = 32

KEY_SECONDS = 7 * 86400.0
"""For so long an idempotency key counts."""

_TOKENS = "SELECT id, name, role, created_at, used_at FROM api_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """A token of the API, without the token itself. Times are Unix seconds."""

    id: int
    name: str
    role: AccessRole
    created_at: float
    used_at: float | None
    """None if it was never used; to about a minute."""


def new_token() -> str:
    """A new token, which the ledger keeps a hash of."""
    return PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_digest(token: bytes) -> str:
    """The hash by which the ledger knows a token: it has 256 random bits, so no key is needed."""
    return hashlib.sha256(token).hexdigest()


def create_token(
    connection: Connection, name: str, role: AccessRole, token: str, *, by: Actor, now: float
) -> bool:
    """Keep a new token; False if there is one of this name. Inside the caller's transaction."""
    done = connection.execute(
        "INSERT INTO api_tokens (name, role, digest, created_at) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO NOTHING",
        (name, role, token_digest(token.encode()), now),
    )
    if done.rowcount:
        write_audit(connection, by, "token create", name, after=role, now=now)
    return bool(done.rowcount)


def revoke_token(connection: Connection, name: str, *, by: Actor, now: float) -> bool:
    """Forget a token; False if there is none of this name. Inside the caller's transaction."""
    row = connection.execute(
        "DELETE FROM api_tokens WHERE name = ? RETURNING role", (name,)
    ).fetchone()
    if row is not None:
        write_audit(connection, by, "token revoke", name, before=row[0], now=now)
    return row is not None


def api_tokens(connection: Connection) -> list[ApiToken]:
    """All tokens, by their names."""
    return [_token(row) for row in connection.execute(f"{_TOKENS} ORDER BY name")]


def find_token(connection: Connection, token: bytes) -> ApiToken | None:
    """The token of a request; None if it is none of ours, or was revoked."""
    row = connection.execute(f"{_TOKENS} WHERE digest = ?", (token_digest(token),)).fetchone()
    return _token(row) if row else None


def _token(row: tuple[int, str, str, float, float | None]) -> ApiToken:
    number, name, role, created_at, used_at = row
    return ApiToken(
        id=number, name=name, role=AccessRole(role), created_at=created_at, used_at=used_at
    )


class ApiTokens(Role):
    """The tokens of the API. Called by the handlers of HTTP requests."""

    find = reading(find_token)

    @transaction
    def used(self, connection: Connection, number: int, *, now: float) -> None:
        """Note when a token was used last."""
        connection.execute("UPDATE api_tokens SET used_at = ? WHERE id = ?", (now, number))


class IdempotencyKeys(Role):
    """The idempotency keys of requests. Called by their handlers."""

    @transaction
    def claim(
        self, connection: Connection, name: str, request: str, *, now: float
    ) -> Literal["new", "known", "other"]:
        """Keep a key with its request; ``other`` if it came with another request before.

        Durable on return, before the request takes effect. Both are hashes. Old keys are dropped.
        """
        connection.execute("DELETE FROM idempotency_keys WHERE at < ?", (now - KEY_SECONDS,))
        done = connection.execute(
            "INSERT INTO idempotency_keys (name, request, at) VALUES (?, ?, ?)"
            " ON CONFLICT (name) DO NOTHING",
            (name, request, now),
        )
        if done.rowcount:
            return "new"
        row = connection.execute(
            "SELECT request FROM idempotency_keys WHERE name = ?", (name,)
        ).fetchone()
        return "known" if row[0] == request else "other"
