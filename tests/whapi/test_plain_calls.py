"""The usual call is read in two ways, which say the same."""

import json
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from daemon.domain.messages import Text
from daemon.errors import WebhookError
from daemon.gateway.whapi.payloads.parser import parse_webhook, read_any
from daemon.gateway.whapi.payloads.plain_text import plain_text

USUAL = json.loads((Path(__file__).parents[1] / "sample_data" / "text.json").read_text())
ODD = st.sampled_from(
    [
        *(None, True, False, 0, -1, 1.5, 10**11, 10**30, "", " ", "0", "\0", "a\0b", "é🙂"),
        *("true", "api", "messages", "ack", "573001234567", "+573001234567", "5730 0123"),
        *("573001234567@s.whatsapp.net", "573001234567@c.us", "12036302@g.us", "77@lid"),
        *("573001234567@s.whatsapp.net\n", "CO.13491208655302741918", "x" * 70_000),
        *([], ["a"], {}, {"body": "Hola"}, {"body": 5}, {"body": "Hola", "title": "x"}),
        *({"type": "messages", "method": "put"}, {"type": "statuses", "event": "post"}),
    ]
)
PLACES = st.sampled_from(
    [
        *(("messages", 0, name) for name in [*USUAL["messages"][0], "context", "device_id", "x"]),
        *(("messages", 0, "text", "body"), ("event", "type"), ("event", "event"), ("event",)),
        *(("messages", 0), ("messages",), ("channel_id",), ("statuses",), ("labels",)),
    ]
)


def changed(changes: list[tuple[tuple[str | int, ...], object]], *, without: set[str]) -> bytes:
    call: Any = json.loads(json.dumps(USUAL))
    for (*steps, last), value in changes:
        inner: Any = call
        with suppress(KeyError, IndexError, TypeError):
            for step in steps:
                inner = inner[step]
            inner[last] = deepcopy(value)
    if isinstance(call["messages"], list) and call["messages"]:
        message = call["messages"][0]
        if isinstance(message, dict):
            for name in without:
                message.pop(name, None)
    return json.dumps(call).encode()


def test_the_usual_call_is_read_at_once() -> None:
    body = json.dumps(USUAL).encode()
    found = plain_text(body, "shop")
    assert found is not None
    assert found.message.content == Text(body="Hola, tienen cupo el viernes?")
    assert parse_webhook(body, number="shop") == read_any(body, number="shop")


@given(
    st.lists(st.tuples(PLACES, ODD), max_size=3),
    st.sets(st.sampled_from([*USUAL["messages"][0]]), max_size=2),
)
def test_both_ways_read_the_same(
    changes: list[tuple[tuple[str | int, ...], object]], without: set[str]
) -> None:
    body = changed(changes, without=without)
    try:
        expected = read_any(body, number="shop", path_event="messages/post")
    except WebhookError:
        assert plain_text(body, "shop") is None
    else:
        assert parse_webhook(body, number="shop", path_event="messages/post") == expected


@given(st.text(), st.text(max_size=20), st.text(max_size=20))
def test_both_ways_read_the_same_words(words: str, name: str, chat_name: str) -> None:
    changes: list[tuple[tuple[str | int, ...], object]] = [
        (("messages", 0, "text", "body"), words),
        (("messages", 0, "from_name"), name),
        (("messages", 0, "chat_name"), chat_name),
        (("messages", 0, "id"), name),
    ]
    body = changed(changes, without=set())
    assert parse_webhook(body, number="shop") == read_any(body, number="shop")
