"""The roles of tokens and accounts, and what each may do. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from daemon.domain.audit_chain import Action


class AccessRole(StrEnum):
    """What a token or an account may do; each role also may what those before it may."""

    READ = "read"
    """Looks at chats, with shortened phone numbers, and at figures."""
    AGENT = "agent"
    """Serves customers: writes, takes over, gives back, sets reminders, sees phone numbers."""
    OPERATOR = "operator"
    """Runs Recado: repeats failed work, erases people, reads what is personal in bulk."""


ACCESS_ROLES = tuple(AccessRole)
"""From the least to the most."""

LEAST_ROLE: Mapping[Action | Literal["read"], AccessRole] = MappingProxyType(
    {
        "read": AccessRole.READ,
        **dict.fromkeys(
            (
                "assign",
                "cancel reminder",
                "consent",
                "done",
                "label",
                "note",
                "pause",
                "remind",
                "resume",
                "reveal",
                "send",
            ),
            AccessRole.AGENT,
        ),
    }
)
"""The least role that may do something; all else is the operator's."""


def allows(role: AccessRole, action: Action | Literal["read"]) -> bool:
    """Whether a role may do something: ``read``, or an action as the audit names it."""
    least = LEAST_ROLE.get(action, AccessRole.OPERATOR)
    return ACCESS_ROLES.index(role) >= ACCESS_ROLES.index(least)
