"""Accounts of the dashboard: who signs in by name, as what. Pure."""

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from daemon.domain.roles import ACCESS_ROLES, AccessRole

LONGEST_NAME = 60
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 200
LANGUAGES = ("es", "en")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who signs in by name. Times are Unix seconds."""

    id: int
    name: str
    role: AccessRole
    language: str = ""
    """``es`` or ``en``; empty: as the browser wants it."""
    zone: str = ""
    """A time zone's name; empty: that of the settings."""
    notify: bool = False
    """Whether browsers show a notification when a customer waits."""
    sound: bool = False
    """Whether they also play a sound."""
    created_at: float = 0.0
    seen_at: float | None = None
    """When the account last signed in."""
    disabled_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A browser that is signed in; without an `account` with the admin token."""

    ends_at: float
    account: Account | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """What an account chooses for itself."""

    language: str = ""
    zone: str = ""
    notify: bool = False
    sound: bool = False

    def fault(self) -> str:
        """Say what is wrong; empty if nothing is."""
        if self.language and self.language not in LANGUAGES:
            return "there is no such language"
        if self.zone and not _is_zone(self.zone):
            return "there is no such time zone"
        return ""


def preferences_of(account: Account) -> Preferences:
    """What an account has chosen for itself."""
    return Preferences(
        language=account.language, zone=account.zone, notify=account.notify, sound=account.sound
    )


def account_name(text: str) -> str:
    """An account's name as it is stored: no more than one blank between two words.

    Raises ValueError, with what is wrong.
    """
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise ValueError(f"a name has 1 to {LONGEST_NAME} characters")
    return name


def login_of(name: str) -> str:
    """The form in which names are compared: upper case and blanks make no difference."""
    return " ".join(name.split()).casefold()


def role_named(text: str) -> AccessRole:
    """The role of this name. Raises ValueError."""
    if text not in ACCESS_ROLES:
        raise ValueError("there is no such role")
    return AccessRole(text)


def password_fault(password: str) -> str:
    """Say what is wrong with a new password; empty if nothing is."""
    if len(password) < SHORTEST_PASSWORD:
        return f"a password has {SHORTEST_PASSWORD} characters or more"
    if len(password) > LONGEST_PASSWORD:
        return f"a password has at most {LONGEST_PASSWORD} characters"
    return ""


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
