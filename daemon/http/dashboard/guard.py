"""Access to the dashboard: by the admin token, or by a browser that is signed in.

Without a token in the settings, which production refuses, the dashboard is open, but only on this
machine and under a name of this machine. That excludes other machines, pages of other sites, and
names that were rebound to 127.0.0.1.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

import trio
from quart import Response, g, has_request_context, redirect, request, websocket
from quart.typing import ResponseReturnValue
from quart.wrappers import Request, Websocket
from werkzeug.exceptions import Forbidden

from daemon.http.access import Access
from daemon.http.clients import client_of
from daemon.http.dashboard.routes import may_visit
from daemon.http.request_context import (
    ACTOR_DIGITS,
    COOKIE,
    EdgeSettings,
    Visitor,
    session_name,
    visitor,
)
from daemon.ops.operations import Operations

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

DATA_PATHS = ("/dashboard/api/", "/dashboard/logs", "/dashboard/stats", "/dashboard/media/")
"""These answer 401 without a sign-in; every other page redirects to the login."""

LOGIN = "/dashboard/login"

CONTENT_POLICY = (
    "default-src 'self'; img-src 'self' data:; media-src 'self' blob:; object-src 'none';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class OpenSockets:
    """The WebSockets of each session, which end with it."""

    def __init__(self) -> None:
        self._scopes: dict[str, set[trio.CancelScope]] = {}

    @contextmanager
    def held(self, session: str) -> Iterator[trio.CancelScope]:
        """Open a scope that `end` cancels, for the session of that name."""
        with trio.CancelScope() as scope:
            self._scopes.setdefault(session, set()).add(scope)
            try:
                yield scope
            finally:
                self._scopes[session].discard(scope)
                if not self._scopes[session]:
                    del self._scopes[session]

    def end(self, session: str) -> None:
        """End everything that is open for a session."""
        for scope in self._scopes.get(session, ()):
            scope.cancel()


class Guard:
    """Passes or refuses requests and handshakes; its methods are `before_request` functions."""

    def __init__(self, operations: Operations, settings: EdgeSettings, access: Access) -> None:
        self._operations = operations
        self._access = access
        self.sockets = OpenSockets()
        self._token = settings.admin_token
        self._public_host = urlsplit(settings.public_url).netloc.lower()
        frame = f"; frame-src 'self' {settings.phone_url}" if settings.phone_url else ""
        self._policy = CONTENT_POLICY + frame

    @property
    def open(self) -> bool:
        """True if no sign-in is needed."""
        return not self._token

    async def require_sign_in(self) -> ResponseReturnValue | None:
        """Pass requests with a token or a session; redirect pages of others to the login.

        Raises Forbidden if the route needs a role that the visitor has not.
        """
        if self._token and "Authorization" in request.headers:
            return self._allowed() if await self._has_valid_secret(request) else _unknown()
        if refusal := self.refuse_foreign():
            return refusal
        if await self.signed_in(request):
            return self._allowed()
        if request.method == "GET" and not request.path.startswith(DATA_PATHS):
            asked = request.full_path.rstrip("?")
            return redirect(f"{LOGIN}?next={quote(asked, safe='/')}", 302)
        return _unknown()

    async def require_socket_sign_in(self) -> ResponseReturnValue | None:
        """Pass handshakes with a token, or with a session from one of our pages."""
        if self._token and "Authorization" in websocket.headers:
            return self._allowed() if await self._has_valid_secret(websocket) else _unknown()
        if not self._is_local(websocket):
            return _elsewhere()
        # A client that is no browser has no cookie that another site could misuse.
        browser = "Origin" in websocket.headers or not self.open
        if browser and not self.is_own_page(websocket):
            return _foreign()
        return self._allowed() if await self.signed_in(websocket) else _unknown()

    def refuse_foreign(self) -> ResponseReturnValue | None:
        """Refuse requests of other sites' pages, and of other machines if there is no token."""
        if not self._is_local(request):
            return _elsewhere()
        if request.method not in SAFE_METHODS:
            # Browsers name the page's origin in every POST; without a cookie none is needed.
            no_browser = "Origin" not in request.headers and COOKIE not in request.cookies
            if not no_browser and not self.is_own_page(request):
                return _foreign()
        return None

    def is_own_page(self, asked: Request | Websocket) -> bool:
        """Whether the request comes from a page that we served, by its ``Origin``."""
        try:
            origin = urlsplit(asked.headers.get("Origin", "")).netloc.lower()
        except ValueError:  # an unclosed bracket, which no browser sends
            return False
        hosts = {asked.headers.get("Host", "").lower(), self._public_host} - {""}
        return origin in hosts

    async def secure(self, response: Response) -> Response:
        """Add the headers of a page to an answer (`after_request`)."""
        response.headers.setdefault("Content-Security-Policy", self._policy)
        # With no-referrer browsers name no origin in a form's POST either (Fetch, section 3.2.2).
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        return response

    def session_of(self, asked: Request | Websocket) -> str:
        """The name of the session of a request's cookie; empty if it has none.

        A request with the token has no session, nor has any request if there is no token.
        """
        value = asked.cookies.get(COOKIE, "")
        if self.open or not value or "Authorization" in asked.headers:
            return ""
        return session_name(value, self._token)

    async def seconds_left(self, session: str) -> float:
        """The seconds until a session ends; 0 if it has. Raises StoreUnavailable."""
        found = await self._operations.sessions.find(session)
        return max(0.0, found.ends_at - self._operations.now()) if found else 0.0

    async def identify(self, asked: Request | Websocket) -> Visitor | None:
        """Find who has sent a request, by its session; None if nobody is signed in."""
        if self.open:
            return Visitor(name="anybody")
        session = self.session_of(asked)
        found = await self._operations.sessions.find(session) if session else None
        if found is None or found.ends_at <= self._operations.now():
            return None
        if found.account is None:
            return Visitor(name=f"session {session[:ACTOR_DIGITS]}", session=session)
        name, role = f"account {found.account.name}", found.account.role
        return Visitor(name=name, role=role, session=session, account=found.account)

    def _allowed(self) -> ResponseReturnValue | None:
        asked = request if has_request_context() else websocket
        if may_visit(visitor().role, asked.url_rule):
            return None
        if asked.path.startswith(DATA_PATHS):
            return {"error": "this account may not do that"}, 403
        raise Forbidden

    async def _has_valid_secret(self, asked: Request | Websocket) -> bool:
        g.visitor = Visitor(name="token admin")
        return await self._access.check_bearer(asked.scope, (self._token.encode(),), "token")

    async def signed_in(self, asked: Request | Websocket) -> bool:
        """Whether a request is of somebody who is signed in: `visitor` names them from then on."""
        known = await self.identify(asked)
        if known is None:
            return False
        g.visitor = known
        client_of(asked.scope).authenticate()
        return True

    def _is_local(self, asked: Request | Websocket) -> bool:
        if not self.open:
            return True
        client = asked.scope.get("client")
        host = urlsplit(f"//{asked.headers.get('Host', '')}").hostname or ""
        return (client is None or _is_loopback(client[0])) and _is_loopback(host)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _unknown() -> ResponseReturnValue:
    challenge = {"WWW-Authenticate": 'Bearer realm="recado"'}
    return {"error": "sign in, or send the admin token"}, 401, challenge


def _foreign() -> ResponseReturnValue:
    return {"error": "this was not sent by a page of this dashboard"}, 403


def _elsewhere() -> ResponseReturnValue:
    return {"error": "without web.admin_token the dashboard answers this machine only"}, 403
