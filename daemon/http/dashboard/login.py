"""Signing in, by name or with the admin token, signing out, and choosing language and theme."""

import hashlib
import hmac
import secrets
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseReturnValue
from werkzeug.wrappers import Response as WSGIResponse

from daemon.domain.accounts import (
    LANGUAGES,
    LONGEST_NAME,
    LONGEST_PASSWORD,
    Account,
    preferences_of,
)
from daemon.http.access import Access
from daemon.http.dashboard.guard import LOGIN
from daemon.http.dashboard.oidc import BEGIN, DONE, NotSignedIn, Provider, forget_attempt
from daemon.http.dashboard.shell import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Shell
from daemon.http.request_context import COOKIE, session_actor, session_name

HOME = "/dashboard"
COOKIE_BYTES = 32
YEAR_SECONDS = 365 * 24 * 3600

TOO_MANY = "Too many tries. Wait a moment and try again."
NOT_PRIVATE = "Signing in needs https, or an address of this machine."
WRONG = "That is not the admin token."
NO_ACCOUNT = "No account has this email address."
WRONG_NAME = "Name or password are wrong."


def create_login(shell: Shell, access: Access) -> Blueprint:
    """Return the routes of signing in and out."""
    login = Blueprint("dashboard_login", __name__)
    handlers = _Login(shell, access)

    @login.before_request
    async def refuse_foreign() -> ResponseReturnValue | None:
        return shell.guard.refuse_foreign()

    login.add_url_rule(LOGIN, view_func=handlers.show, methods=["GET"])
    login.add_url_rule(LOGIN, view_func=handlers.sign_in, methods=["POST"])
    if handlers.provider is not None:
        login.add_url_rule(BEGIN, view_func=handlers.ask_provider, methods=["GET"])
        login.add_url_rule(DONE, view_func=handlers.come_back, methods=["GET"])
    login.add_url_rule("/dashboard/logout", view_func=handlers.sign_out, methods=["POST"])
    login.add_url_rule("/dashboard/preferences", view_func=handlers.prefer, methods=["POST"])
    return login


class _Login:
    def __init__(self, shell: Shell, access: Access) -> None:
        self.provider = Provider(shell.settings) if shell.settings.oidc_issuer else None
        self._shell = shell
        self._access = access

    async def ask_provider(self) -> ResponseReturnValue:
        following = request.args.get("next", "")
        if self.provider is None or self._shell.guard.open:
            return redirect(HOME, 303)
        try:
            return await self.provider.begin(_inner(following))
        except NotSignedIn as error:
            return await self._form(str(error), following, 502)

    async def come_back(self) -> ResponseReturnValue:
        """Sign the account in whose address the provider has verified."""
        if self.provider is None or self._shell.guard.open:
            return redirect(HOME, 303)
        try:
            email, following = await self.provider.finish()
        except NotSignedIn as error:
            answer = await self._form(str(error), "", 401)
        else:
            account = await self._shell.operations.accounts.with_email(email)
            if account is None:
                answer = await self._form(NO_ACCOUNT, "", 403)
            else:
                # A page, not a redirect: in a chain of redirects that another site began, browsers
                # do not send a cookie that is SameSite=Strict.
                answer = self._shell.page("signed_in.html", following=_inner(unquote(following)))
                await self._enter(answer, account)
        forget_attempt(answer)
        return answer

    async def show(self) -> ResponseReturnValue:
        if self._shell.guard.open:
            return redirect(HOME, 303)
        return await self._form("", request.args.get("next", ""))

    async def sign_in(self) -> ResponseReturnValue:
        if self._shell.guard.open:
            return redirect(HOME, 303)
        form = await request.form
        following, name = form.get("next", ""), form.get("name", "").strip()
        if not _is_private(request.headers.get("Origin", "")):
            return await self._form(NOT_PRIVATE, following, 400)
        wait = self._access.retry_after(request.scope)
        check = _Check(self._shell, name, form.get("token", ""))
        if await self._access.check(request.scope, check.is_right, "login"):
            return await self._begin(following, check.account)
        if not wait:
            return await self._form(WRONG_NAME if name else WRONG, following, 401)
        page = await self._form(TOO_MANY, following, 429)
        page.headers["Retry-After"] = str(wait)
        return page

    async def _begin(self, following: str, account: Account | None) -> ResponseReturnValue:
        answer = redirect(_inner(following), 303)
        await self._enter(answer, account)
        return answer

    async def _enter(self, answer: Response | WSGIResponse, account: Account | None) -> None:
        """Begin a session, of an account or with the admin token, and give the browser its name."""
        operations, settings = self._shell.operations, self._shell.settings
        value = secrets.token_urlsafe(COOKIE_BYTES)
        now = operations.now()
        name = session_name(value, settings.admin_token)
        ends_at, number = now + settings.session_seconds, account.id if account else None
        await operations.sessions.begin(name, ends_at=ends_at, now=now, account=number)
        await operations.audit(session_actor(name, account), "login")
        self._access.signed_in(request.scope)
        _keep(answer, value, int(settings.session_seconds))

    async def sign_out(self) -> ResponseReturnValue:
        if value := request.cookies.get(COOKIE, ""):
            name = session_name(value, self._shell.settings.admin_token)
            operations = self._shell.operations
            if found := await operations.sessions.find(name):
                await operations.sessions.end(name)
                await operations.audit(session_actor(name, found.account), "logout")
                self._shell.guard.sockets.end(name)
        answer = redirect(LOGIN, 303)
        _keep(answer, "", 0)
        return answer

    async def prefer(self) -> ResponseReturnValue:
        """Set the cookie of a language or a theme; the language of an account, too."""
        form = await request.form
        answer = redirect(_inner(form.get("next", "")), 303)
        language = form.get("language", "")
        known = await self._shell.guard.identify(request) if language in LANGUAGES else None
        if known is not None and (account := known.account) is not None:
            chosen = replace(preferences_of(account), language=language)
            await self._shell.operations.accounts.prefer(account.id, chosen)
        for cookie, choices, field in (
            (LANGUAGE_COOKIE, LANGUAGES, "language"),
            (THEME_COOKIE, THEMES, "theme"),
        ):
            choice = form.get(field, "")
            if choice in choices:
                answer.set_cookie(
                    cookie, choice, max_age=YEAR_SECONDS, path="/dashboard", samesite="Lax"
                )
        return answer

    async def _form(self, fault: str, following: str, status: int = 200) -> Response:
        has_accounts = await self._shell.operations.accounts.exist()
        return self._shell.page(
            "login.html",
            status=status,
            fault=fault,
            following=_inner(following),
            has_accounts=has_accounts,
            has_provider=self.provider is not None,
        )


class _Check:
    """One attempt to sign in: of an account, or without a name with the admin token."""

    def __init__(self, shell: Shell, name: str, given: str) -> None:
        self.account: Account | None = None
        self._shell = shell
        self._name = name
        self._given = given

    async def is_right(self) -> bool:
        """Check the secret; `account` is whose it was."""
        operations = self._shell.operations
        if not self._name:
            return same_secret(self._given, self._shell.settings.admin_token)
        known = await operations.accounts.password_of(self._name[:LONGEST_NAME])
        stored, given = known[1] if known else "", self._given[:LONGEST_PASSWORD]
        if not await operations.passwords.check(stored, given) or known is None:
            return False
        self.account = known[0]
        return True


def same_secret(given: str, expected: str) -> bool:
    """Compare in a time that depends on neither, nor on their lengths."""
    digests = (
        hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (given, expected)
    )
    return hmac.compare_digest(*digests)


def _is_private(origin: str) -> bool:
    """Whether the connection is private; browsers store the cookie only then."""
    page = urlsplit(origin)
    host = page.hostname or ""
    return page.scheme != "http" or host in {"localhost", "::1"} or host.startswith("127.")


def _inner(path: str) -> str:
    """The next page: only one of the dashboard, whatever the link says."""
    plain = path == HOME or path.startswith((f"{HOME}/", f"{HOME}?"))
    unsafe = "\\" in path or "//" in path or any(ord(letter) < 33 for letter in path)
    return path if plain and not unsafe and not path.startswith(LOGIN) else HOME


def _keep(answer: Response | WSGIResponse, value: str, seconds: int) -> None:
    answer.set_cookie(
        COOKIE, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Strict"
    )
