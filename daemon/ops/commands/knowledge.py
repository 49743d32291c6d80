"""`recado knowledge`: the business's documents as the model searches them."""

import csv
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TextIO, TypeVar

import click
import trio

from daemon.conversation.knowledge.base import SearchRules, search_rules
from daemon.conversation.knowledge.folder import Changes, KnowledgeFolder, knowledge_folder
from daemon.conversation.knowledge.vectors import open_knowledge
from daemon.domain.knowledge.measure import LabelledQuestion, recall
from daemon.domain.knowledge.ranking import FoundPassage, grouped
from daemon.domain.redaction import Redactor
from daemon.ledger.drivers.port import Connection
from daemon.ledger.knowledge import Passages, documents_of, questions_of
from daemon.observability.logs import Log, open_log
from daemon.ops.commands.place import (
    AS_JSON,
    CONFIG,
    NUMBER,
    CommandFailure,
    NotDone,
    Place,
    failures,
    number_settings,
    place_of,
    print_json,
    read_settings,
)
from daemon.ops.commands.progress import shown
from daemon.ops.commands.reports import since_of
from daemon.settings import Settings

T = TypeVar("T")

EXAMPLE = """\b
Example:
  recado knowledge sync && recado knowledge list
  recado knowledge search "¿Puedo llevar a mi perro?"
  recado knowledge test questions.toml --at-least 0.9
  recado knowledge questions --since 30d --csv > questions.csv
"""

SHOWN_CHARACTERS = 300
"""Of a passage."""


class Documents(NamedTuple):
    """What the commands work with."""

    place: Place
    settings: Settings
    """Of the number that was named, or of the only one."""
    rules: SearchRules


class CommandDatabase:
    """A command's connections, behind the port that the daemon's tasks use."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def read(self, query: Callable[[Connection], T]) -> T:
        """Run a query."""
        with self._place.reading() as connection:
            return query(connection)

    async def write(self, transaction: Callable[[Connection], T]) -> T:
        """Run a transaction."""
        with self._place.writing() as connection:
            return transaction(connection)


def takes_documents(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name a number, and its `Documents` as the first argument."""

    @CONFIG
    @NUMBER
    @wraps(function)
    def command(config: Path | None, number: str | None, **arguments: Any) -> None:
        with failures():
            settings = number_settings(config, number)
            rules = search_rules(settings.knowledge)
            if rules is None:
                raise CommandFailure("knowledge.folder is not set: there are no documents")
            place = place_of(read_settings(config))
            function(Documents(place, settings, rules), **arguments)

    return command


@click.group(name="knowledge", epilog=EXAMPLE)
def knowledge_command() -> None:
    """Look at the documents that answers come from, search them, and read what they lack.

    The documents are those of knowledge.folder; the daemon keeps up with their changes by itself.
    """


@knowledge_command.command(name="list")
@AS_JSON
@takes_documents
def list_command(documents: Documents, *, as_json: bool) -> None:
    """List the documents as they were read, with their passages and faults."""
    with documents.place.reading() as connection:
        known = documents_of(connection, documents.rules.folder)
    if as_json:
        print_json([asdict(one) for one in known])
        return
    for one in known:
        fault = f"  not read: {one.error}" if one.error else ""
        click.echo(f"{one.passages:6}  {one.path}  ({one.title}){fault}")
    click.echo(f"documents: {len(known)}, passages: {sum(one.passages for one in known)}")


@knowledge_command.command(name="sync")
@takes_documents
def sync_command(documents: Documents) -> None:
    """Read what has changed in the folder now; the daemon does that by itself every few seconds.

    Exit status 1 if a document cannot be read.
    """
    passages = Passages(CommandDatabase(documents.place))
    folder = knowledge_folder(documents.settings, passages, time.time)
    changes: Changes = trio.run(_in_step, folder)
    for path in changes.read:
        click.echo(f"read: {path}")
    for path in changes.gone:
        click.echo(f"gone: {path}")
    if not (changes.read or changes.gone):
        click.echo("nothing has changed")
    with documents.place.reading() as connection:  # also what an earlier look could not read
        faults = [one for one in documents_of(connection, documents.rules.folder) if one.error]
    for one in faults:
        click.echo(f"cannot be read: {one.path}: {one.error}", err=True)
    if faults:
        sys.exit(1)


async def _in_step(folder: KnowledgeFolder) -> Changes:
    with shown("documents") as progress:
        changes = await folder.bring_in_step(progress)
    with shown("vectors") as progress:
        await folder.embed(_log(sys.stderr), progress)
    return changes


@knowledge_command.command(name="search")
@click.argument("question")
@AS_JSON
@takes_documents
def search_command(documents: Documents, *, question: str, as_json: bool) -> None:
    """Show the passages that the model would get for QUESTION, the best first.

    Exit status 1 if it would get none.
    """
    (found,) = trio.run(_answers, documents, [question])
    if as_json:
        print_json([_shown(passage) for passage in found])
    for passage in () if as_json else found:
        click.echo(f"{passage.score:.2f}  {passage.source}  ({passage.path})")
        click.echo(f"      {_short(passage.text)}")
    if not found:
        raise NotDone("the documents do not answer this")


@knowledge_command.command(name="test")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--at-least", type=click.FloatRange(0, 1), default=0.0, help="Fail below this share.")
@AS_JSON
@takes_documents
def test_command(documents: Documents, *, file: Path, at_least: float, as_json: bool) -> None:
    """Ask the questions of FILE, and count how often the right passage is among those given.

    FILE is TOML: a table [[question]] each, with `ask`, `file` (the document's path) and, if
    wanted, `section` (part of its headings). A question without `file` has no answer in the
    documents: nothing should be found. Exit status 1 below --at-least.
    """
    labelled = labelled_questions(file)
    found = trio.run(_answers, documents, [question.text for question in labelled])
    result = recall(list(zip(labelled, found, strict=True)))
    if as_json:
        print_json({**asdict(result), "recall": result.share})
    else:
        for missed in result.missed:
            click.echo(f"missed: {missed}")
        click.echo(
            f"recall@{documents.rules.passages}: {result.share:.3f}"
            f" ({result.found} of {result.asked})"
        )
        if result.unanswerable:
            click.echo(f"without an answer: {result.refused} of {result.unanswerable} recognised")
    if result.share < at_least:
        sys.exit(1)


async def _answers(documents: Documents, questions: list[str]) -> list[list[FoundPassage]]:
    """Search as the daemon does."""
    passages = Passages(CommandDatabase(documents.place))
    async with open_knowledge(documents.settings, passages, _log(sys.stderr)) as base:
        assert base is not None  # noqa: S101 - the number has documents
        return [await base.search(question) for question in questions]


def labelled_questions(file: Path) -> list[LabelledQuestion]:
    """Read labelled questions; fails if the file is not as it should be."""
    try:
        tables = tomllib.loads(file.read_text("utf-8"))["question"]
        return [
            LabelledQuestion(str(one["ask"]), str(one.get("file", "")), str(one.get("section", "")))
            for one in tables
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandFailure(
            f"{file}: no questions in it as [[question]] tables: {error}"
        ) from error


@knowledge_command.command(name="questions")
@click.option("--since", default="30d", help="From then on: 24h, 7d, or a date like 2026-01-31.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, for a spreadsheet.")
@AS_JSON
@takes_documents
def questions_command(documents: Documents, *, since: str, as_csv: bool, as_json: bool) -> None:
    """List what customers asked and the documents do not answer, the most frequent first.

    Questions that share most of their words are one, with how often it was asked.
    """
    with documents.place.reading() as connection:
        asked = questions_of(connection, since=since_of(since, documents.place))
    groups = grouped(asked)
    if as_json:
        print_json([asdict(group) for group in groups])
    elif as_csv:
        rows = csv.writer(sys.stdout)
        rows.writerow(["count", "question", "first", "last", "other wordings"])
        for group in groups:
            moments = (_moment(group.first_at), _moment(group.last_at))
            rows.writerow([group.count, group.text, *moments, " | ".join(group.others)])
    else:
        for group in groups:
            click.echo(f"{group.count:5}  {group.text}")
        click.echo(f"questions without an answer: {len(asked)}")


def _moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _log(stream: TextIO) -> Log:
    """A log whose warnings people read."""
    return open_log(
        stream=stream,
        level="warning",
        format="human",
        redactor=Redactor([]),
        now=lambda: datetime.now(UTC),
    )


def _shown(passage: FoundPassage) -> dict[str, Any]:
    return {
        "source": passage.source,
        "file": passage.path,
        "score": round(passage.score, 3),
        "text": passage.text,
    }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
