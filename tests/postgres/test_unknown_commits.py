"""A connection is cut during COMMIT, and nobody can say what became of the transaction.

For each method that writes while a message is answered, once with the commit carried out and once
without: the customer gets one answer.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from support.crash_points import _name
from support.model_script import call, say
from support.postgres_proxy import CUT_AFTER, CUT_BEFORE
from support.rows import select
from support.scenes import found
from support.stage import Stage, open_stage

from daemon.conversation import recovery, registry
from daemon.ledger.drivers.postgres import writer
from daemon.ledger.drivers.postgres.writer import Batch, Writer
from daemon.sandbox.payloads import chat_id_of

OF_A_TURN = {
    "Inbox.accept",
    "Turns.open",
    "Runs.start",
    "Runs.round_named",
    "Runs.round_completed",
    "Runs.call_started",
    "Runs.call_ended",
    "Turns.conclude",
    "Outbox.sending",
    "Outbox.sent",
}
"""Those that must be among the methods that one conversation calls."""


class CommitCutter:
    """Cuts the connection at the next commit of a method."""

    def __init__(self) -> None:
        self.seen: dict[str, None] = {}
        """The methods that have written, in their order."""
        self._next = ("", "")

    def cut_next(self, method: str, statement: str) -> None:
        """Cut the connection that commits a write of this method next."""
        self._next = (method, statement)

    def look(self, batch: Batch) -> None:
        """Mark the connection if it is the one. Called in the writer's thread."""
        names = [_name(write.operation) for write in batch]
        self.seen.update(dict.fromkeys(names))
        method, statement = self._next
        if method not in names:
            return
        self._next = ("", "")
        last = batch[-1]
        operation = last.operation

        def marked(connection: Any) -> object:
            result = operation(connection)
            connection.psycopg.execute(statement, prepare=False)
            return result

        last.operation = marked


@pytest.fixture
def cutter(monkeypatch: pytest.MonkeyPatch) -> CommitCutter:
    """Let nobody ask what became of a transaction, and chats try again at once."""
    monkeypatch.setattr(writer, "RESOLVE_SECONDS", 0.0)
    monkeypatch.setattr(registry, "CRASH_BASE_SECONDS", 0.01)
    monkeypatch.setattr(registry, "CRASH_CAP_SECONDS", 0.05)
    monkeypatch.setattr(recovery, "SWEEP_GRACE_SECONDS", 0.1)
    cutter = CommitCutter()
    commit = Writer._commit

    def watched(self: Writer, batch: Batch) -> str:
        cutter.look(batch)
        return commit(self, batch)

    monkeypatch.setattr(Writer, "_commit", watched)
    return cutter


@pytest.fixture
async def stage(tmp_path: Path, through: str, cutter: CommitCutter) -> AsyncIterator[Stage]:
    """A daemon whose database is behind the proxy."""
    assert not cutter.seen
    async with open_stage(
        tmp_path / "data", store={"url": SecretStr(through)}, housekeeping={"sweep_seconds": 0.1}
    ) as stage:
        yield stage


async def converse(stage: Stage, chat: str) -> None:
    """Let a customer ask something that needs a tool, and wait until they are answered."""
    stage.model.script(call("remember", '{"fact": "Es zurda"}'), say("Claro"))
    await stage.gateway.customer_says(chat, "Hola")
    await stage.gateway.wait_sent(chat)
    data_dir, where = stage.settings.data_dir, {"chat": chat_id_of(chat)}
    await found(lambda: select(data_dir, "turns", "state", where=where) == [("done",)])
    of_chat = "tool_calls c JOIN turns t ON t.id = c.turn_id"
    called = select(data_dir, of_chat, "c.state", where={"t.chat": chat_id_of(chat)})
    # A model that is asked again because its first answer was lost may not want the tool.
    assert called in ([], [("finished",)])
    assert select(data_dir, "facts", "fact", where=where) == [("Es zurda",)] * len(called)
    await stage.quiet()


def contacts() -> Iterator[str]:
    """Customers who have not written yet."""
    return (f"5730012350{number:02}" for number in itertools.count())


SHARES = 3
"""Over so many tests the methods are spread, each with a daemon of its own."""


@pytest.mark.parametrize("statement", [CUT_BEFORE, CUT_AFTER], ids=["not-stored", "stored"])
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_conversation_survives_an_unknown_commit_of_each_of_its_methods(
    stage: Stage, cutter: CommitCutter, share: int, statement: str
) -> None:
    chats = contacts()
    await converse(stage, next(chats))
    assert cutter.seen.keys() >= OF_A_TURN
    for method in sorted(cutter.seen)[share::SHARES]:
        chat = next(chats)
        cutter.cut_next(method, statement)
        await converse(stage, chat)
        assert stage.received(chat) == ["Claro"], method
    assert not stage.events("chat crashed")
