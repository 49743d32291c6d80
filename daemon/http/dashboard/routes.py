"""Which role each route of the dashboard needs: the one table that the guard reads."""

from collections.abc import Mapping
from types import MappingProxyType

from werkzeug.routing import Rule

from daemon.domain.roles import ACCESS_ROLES, AccessRole

PUBLIC = frozenset(
    {
        "/dashboard/login",
        "/dashboard/login/oidc",
        "/dashboard/login/oidc/done",
        "/dashboard/logout",
        "/dashboard/preferences",
        "/dashboard/static/<path:name>",
    }
)
"""Routes that need no sign-in."""

_CHAT = "/dashboard/api/chats/<ref>"

NEEDED: Mapping[str, AccessRole] = MappingProxyType(
    {
        **dict.fromkeys(
            (
                "/dashboard",
                "/dashboard/",
                "/dashboard/<path:_name>",
                "/dashboard/account",
                "/dashboard/account/<any(password, sessions):part>",
                "/dashboard/api/chats",
                "/dashboard/api/logs",
                "/dashboard/api/search",
                "/dashboard/chats",
                "/dashboard/chats/<ref>",
                "/dashboard/comparisons",
                "/dashboard/comparisons/<int:number>",
                "/dashboard/figures",
                "/dashboard/figures.csv",
                "/dashboard/log",
                "/dashboard/logs",
                "/dashboard/media/<name>",
                "/dashboard/stats",
                "/dashboard/texts",
                "/dashboard/texts/<number>/<name>",
                "/dashboard/turns/<turn>",
                _CHAT,
                f"{_CHAT}/bubbles",
                f"{_CHAT}/turns/<turn>",
            ),
            AccessRole.READ,
        ),
        **dict.fromkeys(
            (
                "/dashboard/answers",
                "/dashboard/answers/<int:number>/drop",
                "/dashboard/api/desk",
                "/dashboard/api/reveal",
                f"{_CHAT}/assign",
                f"{_CHAT}/notes",
                f"{_CHAT}/notes/<int:number>/drop",
                f"{_CHAT}/seen",
                f"{_CHAT}/suggest",
                f"{_CHAT}/pause",
            ),
            AccessRole.AGENT,
        ),
        **dict.fromkeys(
            (
                "/dashboard/accounts",
                "/dashboard/accounts/<int:number>/<any(role, password, disable, enable):change>",
                "/dashboard/api/work",
                "/dashboard/chats/<ref>/turns/<turn>/case.toml",
                "/dashboard/comparisons/<int:number>/<int:row>",
                "/dashboard/labels",
                "/dashboard/labels/<int:number>",
                "/dashboard/labels/<int:number>/drop",
                "/dashboard/phone",
                "/dashboard/work",
            ),
            AccessRole.OPERATOR,
        ),
    }
)
"""The least role, by the rule of a route. A route that is not here is the operators'."""


def may_visit(role: AccessRole, rule: Rule | str | None) -> bool:
    """Whether a role may use a route, by its rule."""
    path = rule.rule if isinstance(rule, Rule) else rule or ""
    least = NEEDED.get(path, AccessRole.OPERATOR)
    return ACCESS_ROLES.index(role) >= ACCESS_ROLES.index(least)
