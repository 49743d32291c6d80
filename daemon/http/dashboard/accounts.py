"""The pages of accounts: everybody's own, and for operators those of all."""

from collections.abc import Awaitable, Callable, Mapping
from zoneinfo import available_timezones

from quart import Blueprint, redirect, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.domain.accounts import (
    LONGEST_PASSWORD,
    Account,
    Preferences,
    account_name,
    password_fault,
    role_named,
)
from daemon.domain.roles import ACCESS_ROLES
from daemon.http.dashboard.shell import Shell
from daemon.http.request_context import visitor

OWN, ALL = "/dashboard/account", "/dashboard/accounts"

Form = Mapping[str, str]


def create_accounts(shell: Shell) -> Blueprint:
    """Return the routes of the accounts. Each form is answered by its page, with what is wrong."""
    accounts = Blueprint("dashboard_accounts", __name__)
    accounts.before_request(shell.guard.require_sign_in)
    own, operators = _OwnAccount(shell), _AllAccounts(shell)

    @accounts.get(OWN)
    async def show_own() -> ResponseReturnValue:
        return own.page()

    @accounts.post(OWN)
    async def prefer() -> ResponseReturnValue:
        return await own.prefer(await request.form)

    @accounts.post(f"{OWN}/<any(password, sessions):part>")
    async def change_own(part: str) -> ResponseReturnValue:
        return await own.change(part, await request.form)

    @accounts.get(ALL)
    async def show_all() -> ResponseReturnValue:
        return await operators.page()

    @accounts.post(ALL)
    async def add() -> ResponseReturnValue:
        return await operators.add(await request.form)

    @accounts.post(f"{ALL}/<int:number>/<any(role, password, disable, enable):change>")
    async def change(number: int, change: str) -> ResponseReturnValue:
        return await operators.change(number, change, await request.form)

    return accounts


class _OwnAccount:
    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._accounts = shell.operations.accounts

    def page(self, fault: str = "") -> ResponseReturnValue:
        return self._shell.page(
            "account.html",
            section="account",
            status=400 if fault else 200,
            fault=fault,
            zones=sorted(available_timezones()),
            default_zone=self._shell.settings.timezone,
        )

    async def prefer(self, form: Form) -> ResponseReturnValue:
        chosen = Preferences(
            language=form.get("language", ""),
            zone=form.get("zone", ""),
            notify=bool(form.get("notify")),
            sound=bool(form.get("sound")),
        )
        if fault := chosen.fault():
            return self.page(fault)
        await self._accounts.prefer(_own().id, chosen)
        return redirect(OWN, 303)

    async def change(self, part: str, form: Form) -> ResponseReturnValue:
        """Replace the password, or end all sessions; either way the browser signs in again."""
        account, operations = _own(), self._shell.operations
        by, now = self._shell.actor(), operations.now()
        if part == "sessions":
            await self._accounts.sign_out(account.name, by=by, now=now)
        else:
            known = await self._accounts.password_of(account.name)
            given = form.get("now", "")[:LONGEST_PASSWORD]
            if known is None or not await operations.passwords.check(known[1], given):
                return self.page(WRONG_NOW)
            if fault := _new_password_fault(form):
                return self.page(fault)
            hashed = await operations.passwords.hash(form["password"])
            await self._accounts.set_password(account.name, hashed, by=by, now=now)
        self._shell.guard.sockets.end(visitor().session)
        return redirect("/dashboard/login", 303)


class _AllAccounts:
    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._accounts = shell.operations.accounts

    async def page(self, fault: str = "") -> ResponseReturnValue:
        return self._shell.page(
            "accounts.html",
            section="account",
            status=400 if fault else 200,
            fault=fault,
            accounts=await self._accounts.all(),
            roles=ACCESS_ROLES,
        )

    async def add(self, form: Form) -> ResponseReturnValue:
        try:
            name, role = account_name(form.get("name", "")), role_named(form.get("role", ""))
        except ValueError as error:
            return await self.page(str(error))
        if fault := _new_password_fault(form):
            return await self.page(fault)
        hashed = await self._shell.operations.passwords.hash(form["password"])
        by, now = self._shell.actor(), self._shell.operations.now()
        added = await self._accounts.add(name, role, hashed, by=by, now=now)
        return redirect(ALL, 303) if added else await self.page(KNOWN_NAME)

    async def change(self, number: int, change: str, form: Form) -> ResponseReturnValue:
        account = next((one for one in await self._accounts.all() if one.id == number), None)
        if account is None:
            raise NotFound
        changes: Mapping[str, Callable[[Account, Form], Awaitable[str]]] = {
            "role": self._role,
            "password": self._password,
            "disable": self._disable,
            "enable": self._enable,
        }
        fault = await changes[change](account, form)
        return await self.page(fault) if fault else redirect(ALL, 303)

    async def _role(self, account: Account, form: Form) -> str:
        try:
            role = role_named(form.get("role", ""))
        except ValueError as error:
            return str(error)
        by, now = self._shell.actor(), self._shell.operations.now()
        await self._accounts.change_role(account.id, role, by=by, now=now)
        return ""

    async def _password(self, account: Account, form: Form) -> str:
        if fault := _new_password_fault(form):
            return fault
        hashed = await self._shell.operations.passwords.hash(form["password"])
        by, now = self._shell.actor(), self._shell.operations.now()
        await self._accounts.set_password(account.name, hashed, by=by, now=now)
        return ""

    async def _disable(self, account: Account, _form: Form) -> str:
        by, now = self._shell.actor(), self._shell.operations.now()
        await self._accounts.disable(account.name, by=by, now=now)
        return ""

    async def _enable(self, account: Account, _form: Form) -> str:
        by, now = self._shell.actor(), self._shell.operations.now()
        await self._accounts.disable(account.name, by=by, now=now, undo=True)
        return ""


WRONG_NOW = "The current password is wrong."
KNOWN_NAME = "There is an account of that name."


def _own() -> Account:
    account = visitor().account
    if account is None:  # signed in with the admin token
        raise NotFound
    return account


def _new_password_fault(form: Form) -> str:
    return password_fault(form.get("password", ""))
