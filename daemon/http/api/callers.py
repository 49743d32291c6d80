"""Who calls the API: a token, the admin token, or a browser that is signed in to the dashboard.

A browser has the role of its account.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio
from quart import request

from daemon.domain.audit_chain import Actor
from daemon.domain.roles import AccessRole
from daemon.http.access import Access, bearer_of, has_bearer
from daemon.http.api.problems import ApiProblem
from daemon.http.dashboard.guard import Guard
from daemon.http.request_context import EdgeSettings, request_actor, visitor
from daemon.ops.api_access import ApiAccess

CHALLENGE = {"WWW-Authenticate": 'Bearer realm="recado"'}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request, and what they may do."""

    actor: Actor
    role: AccessRole
    name: str = ""
    """Of the token; shown for who writes, unless the request names somebody."""
    account: str = ""
    """The name of the account of a browser: nobody else can be named."""
    at_dashboard: bool = False
    """Whether it is a person at the dashboard, which shows who has opted out."""


class Callers:
    """Recognises the callers of requests. One for all routes."""

    def __init__(
        self, access: Access, tokens: ApiAccess, guard: Guard, settings: EdgeSettings
    ) -> None:
        self._access = access
        self._tokens = tokens
        self._guard = guard
        self._settings = settings

    async def caller(self) -> Caller:
        """The caller of the current request. Raises ApiProblem."""
        if "Authorization" in request.headers:
            found = await self._bearer(request.scope)
            wait = self._tokens.wait(found.actor.name, trio.current_time())
            if wait:
                headers = {"Retry-After": str(math.ceil(wait))}
                raise ApiProblem(429, "this token makes too many requests", headers)
            return found
        if self._guard.refuse_foreign():
            raise ApiProblem(403, "this was not sent by a page of the dashboard; send a token")
        if not await self._guard.signed_in(request):
            raise ApiProblem(401, "send a token, or sign in to the dashboard", CHALLENGE)
        known = visitor()
        account = known.account.name if known.account else ""
        return Caller(
            actor=request_actor(self._settings),
            role=known.role,
            account=account,
            at_dashboard=True,
        )

    async def _bearer(self, scope: Mapping[str, Any]) -> Caller:
        admin = self._settings.admin_token.encode()
        is_admin = bool(admin) and has_bearer(scope["headers"], (admin,))
        token = bearer_of(scope["headers"]) or b""
        known = None if is_admin else await self._tokens.find(token)
        right = is_admin or known is not None
        if not await self._access.check(scope, lambda: right, "token"):
            raise ApiProblem(401, "the token is not known, or was revoked", CHALLENGE)
        address = request.remote_addr or ""
        if known is None:
            return Caller(
                actor=Actor(name="token admin", address=address), role=AccessRole.OPERATOR
            )
        return Caller(
            actor=Actor(name=f"token {known.name}", address=address),
            role=known.role,
            name=known.name,
        )
