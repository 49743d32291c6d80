"""The sandbox's phone beside the dashboard, and the numbers behind masked ones."""

from quart import Blueprint
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.http.api import json_object
from daemon.http.dashboard.shell import Shell


def create_phone(shell: Shell) -> Blueprint:
    """Return the page with the phone, which exists in the sandbox alone, and the reveal."""
    phone = Blueprint("dashboard_phone", __name__)
    phone.before_request(shell.guard.refuse_strangers)

    @phone.get("/dashboard/phone")
    async def show() -> ResponseReturnValue:
        if not shell.settings.phone_url:
            raise NotFound
        return shell.page("phone.html", section="phone", phone_url=shell.settings.phone_url)

    @phone.post("/dashboard/api/reveal")
    async def reveal() -> ResponseReturnValue:
        ref = (await json_object()).get("ref")
        if not isinstance(ref, str):
            return {"error": "no such chat"}, 404
        number = await shell.daemon.watch.phone_number(ref, by=shell.actor())
        if not number:
            return {"error": "no such chat"}, 404
        return {"number": number}

    return phone
