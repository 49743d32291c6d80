"""The tables know the same words for states as the code."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import get_args

import pytest

from daemon.domain import states
from daemon.domain.outcomes import OUTCOMES
from daemon.domain.roles import ACCESS_ROLES
from daemon.ledger.drivers.sqlite.opening import open_database

pytestmark = pytest.mark.sqlite

WORDS = {
    "messages.state": states.MESSAGE_STATES,
    "turns.state": states.TURN_STATES,
    "turns.outcome": ("", *states.OUTCOMES),
    "runs.state": states.RUN_STATES,
    "responses.state": states.RESPONSE_STATES,
    "tool_calls.state": states.TOOL_CALL_STATES,
    "outbox.state": states.SEND_STATES,
    "media.state": states.MEDIA_STATES,
    "accounts.role": tuple(ACCESS_ROLES),
    "usage.state": states.USAGE_STATES,
    "reminders.state": states.REMINDER_STATES,
    "webhook_deliveries.state": states.WEBHOOK_STATES,
    "notifications.state": states.NOTIFICATION_STATES,
    "knowledge_documents.state": states.DOCUMENT_STATES,
    "process_ends.how": states.PROCESS_ENDS,
    "enquiries.outcome": OUTCOMES,
    "api_tokens.role": ACCESS_ROLES,
    "commands.state": states.COMMAND_STATES,
}


@pytest.mark.sqlite
async def test_each_table_checks_the_words_of_the_code(tmp_path: Path) -> None:
    async with open_database(tmp_path / "recado.db", clock=lambda: 0.0):
        pass
    with closing(sqlite3.connect(tmp_path / "recado.db")) as connection:
        tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'table'")
        checked = {
            f"{table}.{column}": set(re.findall(r"'(\w*)'", words))
            for table, sql in tables
            for column, words in re.findall(r"CHECK\s*\(\s*(\w+) IN\s*\(([^)]*)\)", sql)
        }
    assert {name: checked[name] for name in WORDS} == {k: set(v) for k, v in WORDS.items()}
    assert {name for name in checked if name.endswith((".state", ".outcome"))} <= set(WORDS)


@pytest.mark.parametrize(
    ("literal", "words"),
    [
        (states.Outcome, states.OUTCOMES),
        (states.MediaState, states.MEDIA_STATES),
        (states.ReminderState, states.REMINDER_STATES),
        (states.ProcessEnd, states.PROCESS_ENDS),
    ],
)
def test_types_and_lists_of_words_agree(literal: object, words: tuple[str, ...]) -> None:
    assert get_args(literal) == words
