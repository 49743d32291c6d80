"""The pages of instructions and texts. Their buttons use the routes of the API."""

from quart import Blueprint, request
from quart.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from daemon.domain.editable_texts import (
    CANDIDATE,
    INSTRUCTIONS,
    MOST_CHARACTERS,
    MOST_INSTRUCTIONS,
    PLACEHOLDERS,
    TO_CUSTOMERS,
    TO_TEAM,
)
from daemon.domain.versions import SHOWN_DIGITS, hash_of
from daemon.http.dashboard.shell import Shell

GROUPS = (
    ("The bot", (INSTRUCTIONS,)),
    ("To customers", TO_CUSTOMERS),
    ("To the team", TO_TEAM),
)
FIRST_CHARACTERS = 160
"""Of a text, in the list."""
SHARES = (0.0, 0.1, 0.25, 0.5)
"""Of the chats that a draft can be tried on; 0: in shadow."""


def create_texts(shell: Shell) -> Blueprint:
    """Return the routes of the texts."""
    texts = Blueprint("dashboard_texts", __name__)
    texts.before_request(shell.guard.require_sign_in)
    operations = shell.operations

    @texts.get("/dashboard/texts")
    async def show_all() -> ResponseReturnValue:
        editor, names = operations.texts, operations.numbers.names
        number = request.args.get("number") or names[0]
        if number not in names:
            raise NotFound
        states = {state.name: state for state in editor.all(number)}
        return shell.page(
            "texts.html",
            section="texts",
            groups=[(title, [states[name] for name in group]) for title, group in GROUPS],
            tried=editor.state(number, CANDIDATE),
            number=number,
            numbers=names,
            editable=editor.is_enabled,
            first=FIRST_CHARACTERS,
        )

    @texts.get("/dashboard/texts/<number>/<name>")
    async def show_one(number: str, name: str) -> ResponseReturnValue:
        editor = operations.texts
        if name == CANDIDATE or not editor.knows(number, name):
            raise NotFound
        versions = await editor.versions(number, name)
        is_instructions = name == INSTRUCTIONS
        digests = [one.digest for one in versions if one.digest] if is_instructions else []
        tried = editor.state(number, CANDIDATE)
        tried_digest = hash_of(tried.text)
        if is_instructions and tried.origin == "edited":
            digests.append(tried_digest)
        return shell.page(
            "text.html",
            section="texts",
            state=editor.state(number, name),
            numbers=operations.numbers.names,
            versions=versions,
            results=await editor.results(digests),
            digits=SHOWN_DIGITS,
            placeholders=PLACEHOLDERS.get(name, ()),
            is_instructions=is_instructions,
            tried=tried,
            tried_digest=tried_digest,
            shares=SHARES,
            can_try=is_instructions and editor.can_try(number),
            most=MOST_INSTRUCTIONS if is_instructions else MOST_CHARACTERS,
            editable=editor.is_enabled,
        )

    return texts
