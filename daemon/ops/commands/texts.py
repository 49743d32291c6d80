"""`recado texts`: the instructions and texts that were edited in the dashboard."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from daemon.conversation.config_loader import read_instructions
from daemon.domain.editable_texts import CANDIDATE, CONSENT, INSTRUCTIONS, NAMES, TextVersion
from daemon.domain.texts import texts
from daemon.domain.versions import hash_of
from daemon.errors import StoreError
from daemon.ledger.admin.connection import stored_version
from daemon.ledger.text_versions import newest_texts
from daemon.ops.checks import Finding
from daemon.ops.commands.place import (
    AS_JSON,
    CONFIG,
    NUMBER,
    CommandFailure,
    Place,
    failures,
    listing_group,
    number_settings,
    place_of,
    print_json,
    read_settings,
    store_url,
)
from daemon.settings import Settings, with_tables
from daemon.settings.numbers import numbers_of

EXAMPLE = """\b
Example:
  recado texts
  recado texts show instructions > config/instructions.md
"""


@AS_JSON
@CONFIG
def _list(config: Path | None, *, as_json: bool) -> None:
    """List the instructions and texts that were edited in the dashboard, and are at work.

    What is not listed is as the files say. With dashboard.edit_texts = false nothing is.
    """
    settings = read_settings(config)
    with failures():
        found = _edited(settings, place_of(settings))
    if as_json:
        print_json([_row(settings, one) for one in found])
        return
    for one in found:
        changed = ", the file has changed since" if _file_changed(settings, one) else ""
        tried = f", {_tried(one)}" if one.name == CANDIDATE else ""
        click.echo(f"{one.number}  {one.name}  {_by(one)}{tried}{changed}")
    if not found:
        click.echo("no text was edited in the dashboard", err=True)


texts_command = listing_group("texts", _list, epilog=EXAMPLE)


@texts_command.command(name="show")
@click.argument("name", type=click.Choice((*NAMES, CANDIDATE)), metavar="NAME")
@NUMBER
@CONFIG
def show_command(config: Path | None, *, name: str, number: str | None) -> None:
    """Print a text as it is at work: edited, or as the file says.

    NAME is instructions, the key of [texts] (closed, apology …), or candidate.
    """
    settings = read_settings(config)
    place = place_of(settings)
    ours = place.number(number)
    with failures():
        edited = {one.name: one.text for one in _edited(settings, place) if one.number == ours}
        click.echo(edited.get(name) or file_text(numbers_of(settings)[ours], name))


def number_at_work(
    config: Path | None, named: str | None, *, own_instructions: bool = False
) -> Settings:
    """The settings of a number as customers are answered: with the texts that were edited.

    Instructions among them are in a file that lasts as long as the command, unless it has its own.
    Prints on stderr what is used. Fails like `number_settings`.
    """
    number, settings = number_settings(config, named), read_settings(config)
    place = Place(settings.data_dir, store_url(settings), settings=numbers_of(settings))
    found: list[TextVersion] = []
    with suppress(StoreError):  # then the files are all that there is
        ours = place.number(named)
        found = [one for one in _edited(settings, place) if one.number == ours]
    edited: dict[str, object] = {
        one.name: one.text for one in found if one.text and one.name != CANDIDATE
    }
    if own_instructions:
        edited.pop(INSTRUCTIONS, None)
    if edited:
        click.echo(f"edited in the dashboard: {', '.join(edited)}", err=True)
    return _with_texts(number, edited)


def _with_texts(number: Settings, edited: dict[str, object]) -> Settings:
    tables: dict[str, dict[str, object]] = {"texts": edited}
    if INSTRUCTIONS in edited:
        folder = click.get_current_context().with_resource(TemporaryDirectory())
        file = Path(folder) / "instructions.md"
        file.write_text(str(edited.pop(INSTRUCTIONS)), "utf-8")
        tables["assistant"] = {"instructions_file": file}
    if CONSENT in edited:
        tables["contacts"] = {CONSENT: edited.pop(CONSENT)}
    return with_tables(number, tables)


def edited_findings(settings: Settings) -> Iterator[Finding]:
    """What `recado check` says of a store's edited texts; nothing if it cannot be read."""
    with suppress(StoreError, CommandFailure):
        for one in _edited(settings, Place(settings.data_dir, store_url(settings))):
            changed = " and has changed since" if _file_changed(settings, one) else ""
            what = f"the file is not used{changed}" if one.name != CANDIDATE else _tried(one)
            text = f"{one.name} of {one.number}: {_by(one)} in the dashboard; {what}"
            yield Finding("warning", text)


def file_text(number: Settings, name: str) -> str:
    """A text as the files say, or as it is built in. Raises SettingsError."""
    if name == CANDIDATE:
        return ""
    if name == INSTRUCTIONS:
        return read_instructions(number.assistant.instructions_file)
    if name == CONSENT:
        return number.contacts.consent_notice
    return str(getattr(texts(number.language, number.texts.model_dump()), name))


def _edited(settings: Settings, place: Place) -> list[TextVersion]:
    """The edited texts of configured numbers. Raises StoreError."""
    if not settings.dashboard.edit_texts or not stored_version(place.data_dir, place.url):
        return []
    with place.reading() as connection:
        found = newest_texts(connection)
    known = numbers_of(settings)
    return [one for one in found if one.text is not None and one.number in known]


def _file_changed(settings: Settings, one: TextVersion) -> bool:
    return hash_of(file_text(numbers_of(settings)[one.number], one.name)) != one.file_digest


def _tried(one: TextVersion) -> str:
    return f"it answers {one.share:.0%} of the chats" if one.share else "it answers in shadow"


def _by(one: TextVersion) -> str:
    return f"edited by {one.author}, {datetime.fromtimestamp(one.saved_at, UTC):%Y-%m-%d %H:%M} UTC"


def _row(settings: Settings, one: TextVersion) -> dict[str, object]:
    return {
        "number": one.number,
        "name": one.name,
        "text": one.text,
        "author": one.author,
        "saved_at": one.saved_at,
        "revision": one.revision,
        "file_changed": _file_changed(settings, one),
    }
