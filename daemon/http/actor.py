"""Who a request is by, for the audit: a session of the dashboard or the bearer of a token."""

from quart import request

from daemon.domain.audit_chain import Actor
from daemon.http.dashboard.sessions import COOKIE, session_name
from daemon.http.facade import EdgeSettings

SHOWN = 8
"""Hexadecimal digits of a session's name: enough to tell sessions apart, too few to be one."""


def request_actor(settings: EdgeSettings) -> Actor:
    """The actor of the request under way, which a guard has let pass."""
    address = request.remote_addr or ""
    if not settings.admin_token:
        return Actor(name="anybody", address=address)
    if "Authorization" in request.headers:
        return Actor(name="token admin", address=address)
    return session_actor(session_name(request.cookies.get(COOKIE, ""), settings.admin_token))


def session_actor(name: str) -> Actor:
    """The actor of the request under way, by the name that its session has in the store."""
    return Actor(name=f"session {name[:SHOWN]}", address=request.remote_addr or "")
