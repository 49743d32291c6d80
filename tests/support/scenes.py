"""Scenes on the stage: waits of tenths of a second, and short functions for checks."""

import json
import weakref
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import trio

from daemon.conversation import registry
from daemon.conversation.chat import Chat
from daemon.domain.messages import JsonObject
from daemon.domain.prompt.message_text import is_data
from daemon.sandbox.payloads import chat_id_of
from daemon.sandbox.start import TOKEN
from support.plain import NO_TLS
from support.rows import select
from support.stage import LAURA, Stage, open_stage

T = TypeVar("T")

PEDRO = "573007654321"
QUICK_RULES: dict[str, float] = {"agent_seconds": 0.2, "echo_seconds": 0.25, "retry_seconds": 0.02}
PATIENCE_SECONDS = 30.0
"""How long a test waits for what comes at once on a machine that has time."""
PAUSE_MINUTES = 0.015
"""A pause of 0.9 s, for tests in which nothing has to happen before its end."""


def closes_with(messages: int) -> dict[str, float]:
    """Settings of a window that closes with so many messages, however long they take to come."""
    ends = ("window_seconds", "voice_seconds", "typing_seconds", "max_wait_seconds")
    return {**dict.fromkeys(ends, 60.0), "max_messages": messages}


@asynccontextmanager
async def open_scene(
    folder: Path,
    *,
    started: bool = True,
    rules: Mapping[str, float] = QUICK_RULES,
    **changes: Mapping[str, Any],
) -> AsyncIterator[Stage]:
    """A stage with minimal waits; ``changes`` as in `open_stage`."""
    quick = {"buffer": {"window_seconds": 0.1, "idle_seconds": 0.1, **changes.pop("buffer", {})}}
    async with open_stage(
        folder / "data", started=started, rules=rules, **quick, **changes
    ) as stage:
        stage.gateway.postbox.backoff_seconds = 0.02
        yield stage


def words(item: JsonObject) -> str:
    """The text of one input item of the model; of data the part between the delimiters."""
    content: Any = item.get("content") or item.get("output") or ""
    if is_data(item):
        return "\n".join(content.splitlines()[1:-1]).replace("&lt;", "<")
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content)


def model_input(stage: Stage, number: int = -1, *, role: str = "") -> list[str]:
    """The input of one call of the model: the texts of its items, of one role or of all.

    The program's own items have the role ``data`` here.
    """
    items = stage.model.calls[number].items
    return [words(item) for item in items if role in {"", role_of(item)}]


def role_of(item: JsonObject) -> str:
    """The role of an item: one of the API, or ``data`` for the program's own."""
    return "data" if is_data(item) else str(item.get("role", ""))


def thread(stage: Stage, chat: str = LAURA) -> list[JsonObject]:
    """The stored conversation of a chat, oldest item first."""
    rows = select(
        stage.settings.data_dir,
        "thread_items",
        "item",
        where={"chat": chat_id_of(chat)},
        order="id",
    )
    return [json.loads(item) for (item,) in rows]


def outbox(stage: Stage) -> list[tuple[str, str]]:
    """State and text of all rows of the outbox, oldest first."""
    rows = select(stage.settings.data_dir, "outbox", "state, body", order="id")
    return [(state, body) for state, body in rows]


def outcomes(stage: Stage) -> list[str]:
    """How each turn has ended, oldest first; empty for one that has not."""
    rows = select(stage.settings.data_dir, "turns", "outcome", order="id")
    return [outcome for (outcome,) in rows]


async def delete_response(stage: Stage, response_id: str) -> None:
    """Make the model server lose a response that it keeps."""
    async with httpx.AsyncClient(
        verify=NO_TLS, timeout=30, headers={"Authorization": f"Bearer {TOKEN}"}
    ) as client:
        answer = await client.delete(f"{stage.model_url}/v1/responses/{response_id}")
    assert answer.status_code == 200


async def ask_to_cancel(stage: Stage, response_id: str) -> None:
    """Cancel a response at the model server, as another holder of the key may."""
    async with httpx.AsyncClient(
        verify=NO_TLS, timeout=30, headers={"Authorization": f"Bearer {TOKEN}"}
    ) as client:
        answer = await client.post(f"{stage.model_url}/v1/responses/{response_id}/cancel")
    assert answer.status_code == 200


def forgive(stage: Stage) -> None:
    """Forget what the daemon has logged so far, its errors included."""
    stage.log.seek(0)
    stage.log.truncate()


async def logged(stage: Stage, event: str, count: int = 1) -> list[dict[str, Any]]:
    """Wait until the daemon has logged an event so often; returns its lines."""
    return await found(lambda: stage.events(event), lambda lines: len(lines) >= count)


async def found(look: Callable[[], T], enough: Callable[[T], bool] = bool) -> T:
    """Poll a condition that sends no event, until it holds; or tell what there is instead."""
    with trio.move_on_after(PATIENCE_SECONDS):
        while not enough(value := look()):  # noqa: ASYNC110 - a store tells nobody
            await trio.sleep(0.005)
        return value
    raise AssertionError(f"after {PATIENCE_SECONDS:g} seconds there is still {value!r}")


def note_chats(monkeypatch: pytest.MonkeyPatch) -> list[weakref.ref[Chat]]:
    """Note each chat's task that is made from now on, without keeping it.

    ``gc.get_objects`` would find them too, and break tuples that other threads are making.
    """
    made: list[weakref.ref[Chat]] = []

    class Noted(Chat):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            made.append(weakref.ref(self))

    monkeypatch.setattr(registry, "Chat", Noted)
    return made


def cancel_orphans_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next process cancel at once what the last one left at the model server.

    On SQLite it does. A node cannot know that it is the only one, and waits for ten minutes.
    """
    for place in ("daemon.app", "daemon.conversation.recovery"):
        monkeypatch.setattr(f"{place}.ORPHAN_SECONDS", 0.5)


async def end_pause(stage: Stage, chat: str = LAURA) -> None:
    """Let the pause of a chat end by its time, which an operator makes short for that.

    However long the steps before took, they were made within the pause.
    """
    async with httpx.AsyncClient(verify=NO_TLS, timeout=30) as client:
        fields = {"chat": chat, "minutes": 0.001}
        answer = await client.post(f"{stage.url}/takeover/pause", json=fields)
    assert answer.json() == {"chats": 1}
    await found(
        lambda: select(
            stage.settings.data_dir, "chats", "paused_until", where={"chat": chat_id_of(chat)}
        ),
        lambda rows: bool(rows) and rows[0][0] < stage.environment.now(),
    )
