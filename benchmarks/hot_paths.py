"""The things that Recado does for each message, each as a call that can be counted."""

import json
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from io import StringIO
from itertools import count
from types import SimpleNamespace
from typing import Any, cast
from zoneinfo import ZoneInfo

import msgspec
import trio
from ledger_paths import KEY, NOW, REPLY, Path, accept_path, bodies_of, ledger_path, said
from load import requests

from daemon.assistant.payloads.responses import ServerProfile, request_body
from daemon.assistant.payloads.stream_events import ResponseReader
from daemon.conversation.turn.prompt_builder import PromptBuilder
from daemon.domain.eligibility import Policy, verdict
from daemon.domain.messages import ModelRequest
from daemon.domain.prompt.media_text import NOTHING_SEEN
from daemon.domain.records import (
    ChatRecord,
    Known,
    Recollection,
    StoredMessage,
    ThreadHead,
    ThreadItem,
    Turn,
)
from daemon.domain.redaction import Redactor
from daemon.domain.rendering.outgoing import Outgoing
from daemon.domain.rendering.split import split_reply
from daemon.domain.texts import texts
from daemon.domain.validation.builtin_validators import in_order
from daemon.domain.validation.results import Candidate, judge
from daemon.domain.window import WindowRules, after_message, after_presence, closes_at
from daemon.gateway.whapi.payloads.parser import parse_webhook
from daemon.gateway.whapi.payloads.sends import send_call
from daemon.http.whole_request import whole_request
from daemon.ledger.migrations import migrate
from daemon.observability.events import MESSAGE
from daemon.observability.logs import open_log
from daemon.sandbox import model_wire
from daemon.sandbox.model_wire import Say

THREAD_ITEMS = 40


def hot_paths(connection: sqlite3.Connection, *, seed: int = 1) -> dict[str, Path]:
    """Everything that is counted, by its name. Each may be called again and again.

    ``connection`` is made a store, if it is none yet; another ``seed`` gives other messages.
    """
    migrate(connection)
    return {
        "http request": _http(next(requests("chat", seed))),
        "parse webhook": _parse(bodies_of(seed)),
        "verdict": _verdict(bodies_of(seed)),
        "accept call": accept_path(connection, bodies_of(seed)),
        "turn's ledger": ledger_path(connection, bodies_of(seed + 100)),
        "log line": _log(),
        "window": _window(),
        "prepare turn": _prepare(),
        "model's request": _request(),
        "model's stream": _stream(),
        "validation": _validation(),
        "split reply": lambda: split_reply(REPLY),
        "build send": lambda: msgspec.json.encode(
            send_call(KEY.chat, Outgoing(body=REPLY)).content
        ),
    }


def _http(request: bytes) -> Path:
    return lambda: whole_request(request, lambda _path: True)


def _parse(bodies: Iterator[bytes]) -> Path:
    body = next(bodies)
    return lambda: parse_webhook(body)


def _verdict(bodies: Iterator[bytes]) -> Path:
    (message,) = parse_webhook(next(bodies)).messages
    known = Known(message=message, names=frozenset({message.key.chat}))
    policy = Policy()
    return lambda: verdict(known, policy)


def _conversation() -> ModelRequest:
    turns = [said(f"Hola {n}", ("user", "assistant")[n % 2]) for n in range(THREAD_ITEMS)]
    return ModelRequest(instructions="Contesta en español.", items=(*turns, said("Hola", "user")))


def _request() -> Path:
    request = _conversation()
    server = ServerProfile(model="gpt-6-luna", background=False, openai=False)
    return lambda: msgspec.json.encode(request_body(request, server))


def _stream() -> Path:
    """The events of an answer in pieces of a word or two, each a part of its own."""
    events = model_wire.item_events(Say(REPLY), 0, "1")
    parts = [f"data: {json.dumps(event)}\n\n".encode() for event in events]

    def read() -> None:
        reader = ResponseReader()
        for part in parts:
            reader.feed(part)

    return read


def _validation() -> Path:
    validators = in_order(())
    candidate = Candidate(
        text=REPLY,
        inbound="¿Qué opciones tienen?",
        instructions=REPLY,
        remembered=tuple(f"Hola {n}, buenos días." for n in range(THREAD_ITEMS)),
    )
    return lambda: judge(candidate, validators)


def _log() -> Path:
    log = open_log(
        stream=StringIO(),
        level="info",
        format="json",
        redactor=Redactor(["benchmark-secret-0001"]),
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        strict=False,
    )
    numbers = count()

    def write() -> None:
        text = f"Hola, ¿hay cupo para el viernes? {next(numbers)}"
        log.event(MESSAGE, chat=KEY, kind="text", text=text, who="Laura")

    return write


def _window() -> Path:
    rules = WindowRules(
        text_seconds=5,
        voice_seconds=8,
        typing_seconds=10,
        stop_seconds=1,
        max_wait_seconds=60,
        max_messages=50,
    )

    def decide() -> float:
        window = after_message(None, "text", 0, rules)
        typing = after_presence(window, "typing", 1, rules)
        return closes_at(after_message(typing, "voice", 2, rules), rules)

    return decide


def _prepare() -> Path:
    """A turn in a long conversation; the store's and Whapi's answers are there at once."""
    items = tuple(
        ThreadItem(
            turn_id=number // 2,
            item={"role": "assistant" if number % 2 else "user", "content": "Hola, buenos días."},
            tokens=12,
            id=number,
            created_at=NOW - 100 + number,
        )
        for number in range(THREAD_ITEMS)
    )
    memory = Recollection(ChatRecord(name="Laura", contact_name="Laura"), ThreadHead(None), items)
    services = SimpleNamespace(
        config=SimpleNamespace(
            rules=SimpleNamespace(
                instructions="Contesta en español.",
                model=None,
                zone=ZoneInfo("America/Bogota"),
                history_tokens=24_000,
                server_compacts=False,
                group_lines=0,
            ),
            toolbox=SimpleNamespace(specs=()),
            texts=texts("es"),
        ),
        model=SimpleNamespace(contact_hash=lambda _key: "hash"),
        number=SimpleNamespace(
            chat_info=SimpleNamespace(details=_gives(None)),
            labels=SimpleNamespace(of_chat=lambda _details, _stored: None),
        ),
        attachments=SimpleNamespace(seen=_gives(NOTHING_SEEN)),
        store=SimpleNamespace(memories=SimpleNamespace(recall=_gives(memory))),
        telemetry=SimpleNamespace(now=lambda: NOW),
    )
    (message,) = parse_webhook(next(bodies_of(1))).messages
    turn = Turn(
        id=1,
        key=KEY,
        state="open",
        request_id="turn_1",
        attempts=0,
        superseded=0,
        quotes=False,
        opened_at=NOW,
        messages=(StoredMessage(1, message, NOW),),
    )

    async def work() -> object:
        return await PromptBuilder(cast("Any", services)).build(turn)

    return lambda: trio.run(work)


def _gives(value: object) -> Callable[..., Coroutine[Any, Any, object]]:
    async def give(*_: object, **__: object) -> object:
        return value

    return give
