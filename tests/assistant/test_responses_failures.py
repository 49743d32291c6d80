"""What the engine says when the server fails, and that it never asks twice by itself."""

import random
import traceback
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
import trio
from support.model import ScriptedModel
from support.model_script import Step

from daemon.assistant.port import Engine
from daemon.assistant.responses_engine import open_responses_engine
from daemon.domain.messages import ModelRequest
from daemon.errors import AssistantError, ContextTooLong, ModelRejected, ModelTemporary

Open = Callable[..., AbstractAsyncContextManager[Engine]]
Ask = Callable[..., ModelRequest]

WORDS = "mi dirección es Calle Falsa 123"


async def ignore(_response_id: str) -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (Step(status=500, code="server_error"), ModelTemporary),
        (Step(status=503), ModelTemporary),
        (Step(status=408), ModelTemporary),
        (Step(status=409), ModelTemporary),
        (Step(status=401, code="invalid_api_key"), ModelTemporary),
        (Step(status=403), ModelTemporary),
        (Step(status=429, code="rate_limit_exceeded"), ModelTemporary),
        (Step(status=429, code="insufficient_quota"), ModelTemporary),
        (Step(status=400, code="context_length_exceeded"), ContextTooLong),
        (
            Step(status=400, message="the request exceeds the available context size"),
            ContextTooLong,
        ),
        (Step(status=400, code="invalid_prompt"), ModelRejected),
        (Step(status=404, code="model_not_found"), ModelRejected),
        (Step(status=422), ModelRejected),
        (Step(hang_up=True), ModelTemporary),
        (Step(garbage=True), ModelTemporary),
        (Step(cut_after=0), ModelTemporary),
        (Step(failed="server_error"), ModelTemporary),
        (Step(failed="rate_limit_exceeded"), ModelTemporary),
        (Step(failed="context_length_exceeded"), ContextTooLong),
        (Step(failed="invalid_prompt"), ModelRejected),
        (Step(error_event="server_error"), ModelTemporary),
        (Step(error_event="context_length_exceeded"), ContextTooLong),
    ],
)
async def test_each_failure_is_one_error_after_one_request(
    server: ScriptedModel, open_engine: Open, ask: Ask, step: Step, expected: type[AssistantError]
) -> None:
    """The error tells the caller what to do next, and nothing private."""
    with trio.fail_after(60):
        async with open_engine() as engine:
            server.script(step)
            with pytest.raises(AssistantError) as caught:
                await engine.respond(ask(WORDS), on_started=ignore)
    assert type(caught.value) is expected
    assert server.hits == [("POST", "/responses")]
    assert WORDS not in str(caught.value)


@pytest.mark.parametrize(
    "step",
    [Step(failed="server_error"), Step(error_event="server_error")],
)
async def test_a_failed_background_response_is_not_picked_up_again(
    server: ScriptedModel, open_engine: Open, ask: Ask, step: Step
) -> None:
    """It has its outcome; there is nothing to follow."""
    server.script(step)
    with trio.fail_after(60):
        async with open_engine(background=True) as engine:
            with pytest.raises(ModelTemporary):
                await engine.respond(ask(WORDS), on_started=ignore)
    assert server.hits == [("POST", "/responses")]


async def test_errors_keep_the_key_and_the_words_to_themselves(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """Servers quote both in their messages; not even a traceback may show them."""
    server.script(Step(status=400, code=WORDS, message=f"Invalid input: {WORDS}"))
    with trio.fail_after(60):
        async with open_engine() as engine:
            with pytest.raises(ModelRejected) as rejected:
                await engine.respond(ask(WORDS), on_started=ignore)
        async with open_engine(api_key="sk-wrong-key") as engine:
            with pytest.raises(ModelTemporary, match="check the key") as refused:
                await engine.respond(ask(WORDS), on_started=ignore)
    for error in (rejected.value, refused.value):
        shown = "".join(traceback.format_exception(error))
        assert "Calle Falsa" not in shown
        assert "sk-wrong-key" not in shown


async def test_the_servers_retry_after_is_honoured(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """Retry-After reaches the caller in seconds; waiting is the caller's."""
    server.script(Step(status=429, headers={"retry-after": "17"}))
    with trio.fail_after(60):
        async with open_engine() as engine:
            with pytest.raises(ModelTemporary) as caught:
                await engine.respond(ask(WORDS), on_started=ignore)
    assert caught.value.retry_after == 17


async def test_input_over_the_context_window(
    server: ScriptedModel, open_engine: Open, ask: Ask
) -> None:
    """A shorter history may work, and the caller learns that that is the fault."""
    server.context_tokens = 50
    with trio.fail_after(60):
        async with open_engine() as engine:
            with pytest.raises(ContextTooLong):
                await engine.respond(ask("palabras " * 100), on_started=ignore)


async def test_no_server_at_all(ask: Ask, rng: random.Random) -> None:
    """A refused connection is temporary."""
    with trio.fail_after(60):
        async with open_responses_engine(
            base_url="http://127.0.0.1:9/v1",
            api_key="",
            model="m",
            timeout_seconds=30,
            rng=rng,
        ) as engine:
            with pytest.raises(ModelTemporary, match="no connection"):
                await engine.respond(ask(WORDS), on_started=ignore)


@pytest.mark.parametrize("body", [b'{"id": "r\xff", "output": []}', b'{"id": ', b"[1]", b""])
async def test_a_plain_answer_that_cannot_be_read_is_temporary(
    ask: Ask, rng: random.Random, nursery: trio.Nursery, body: bytes
) -> None:
    """No UTF-8, half a JSON text, no object, nothing: from a proxy or a server in trouble."""

    async def answer(stream: trio.SocketStream) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
        async with stream:
            await stream.receive_some()
            await stream.send_all(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            async for _rest in stream:
                pass  # a connection closed over unread bytes would be reset, and the answer lost

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, answer, [listener])
    port = listener.socket.getsockname()[1]
    with trio.fail_after(60):
        async with open_responses_engine(
            base_url=f"http://127.0.0.1:{port}/v1",
            api_key="",
            model="m",
            timeout_seconds=30,
            rng=rng,
        ) as engine:
            with pytest.raises(ModelTemporary, match="is not JSON"):
                await engine.respond(ask(WORDS), on_started=ignore)
