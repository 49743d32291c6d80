"""Passwords, hashed with Argon2id (RFC 9106, with the parameters of argon2-cffi).

A hash takes tenths of a second and 64 MiB: `hash_password` and `is_password` work in threads, two
at a time. The functions without a task are for commands.
"""

import secrets
from functools import lru_cache

import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 2
_hasher = PasswordHasher()


class Passwords:
    """Hashes and checks passwords. One for the process; any task may call it."""

    def __init__(self) -> None:
        self._places = trio.CapacityLimiter(AT_ONCE)

    async def hash(self, password: str) -> str:
        """Hash a new password."""
        return await trio.to_thread.run_sync(hashed, password, limiter=self._places)

    async def check(self, stored: str, password: str) -> bool:
        """Whether a password is that of a hash; of an empty one, in the same time, never."""
        return await trio.to_thread.run_sync(matches, stored, password, limiter=self._places)


def hashed(password: str) -> str:
    """Hash a new password. Blocks."""
    return _hasher.hash(password)


def matches(stored: str, password: str) -> bool:
    """Whether a password is that of a hash; see `Passwords.check`. Blocks."""
    try:
        _hasher.verify(stored or _dummy_hash(), password)
    except (VerificationError, InvalidHashError):
        return False
    return bool(stored)


@lru_cache(maxsize=1)
def _dummy_hash() -> str:
    """A hash of what nobody knows, so that an unknown name takes as long as a known one."""
    return _hasher.hash(secrets.token_hex())
