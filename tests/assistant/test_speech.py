"""The speech model's client, against the simulated server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from support.simulators import Simulators, simulators
from support.stage import outside_world

from daemon.assistant import sound
from daemon.assistant.sound import Speech, open_speech
from daemon.domain.rendering.opus import spoken_seconds
from daemon.domain.rendering.split import MAX_INPUT
from daemon.errors import ModelRejected, ModelTemporary
from daemon.sandbox import audio
from daemon.sandbox.asgi import Answer, json_answer
from daemon.sandbox.start import TOKEN

PACKET = b"\xf8\xff\xfe"
"""20 ms of silence (RFC 6716, section 3.1)."""


@asynccontextmanager
async def speaker(**how: Any) -> AsyncIterator[tuple[Speech, Simulators]]:
    """A client and the server it asks; ``how`` changes the client."""
    with trio.fail_after(60):
        async with (
            simulators(outside_world()) as outside,
            open_speech(
                **{
                    "base_url": f"{outside.model_url}/v1",
                    "api_key": TOKEN,
                    "model": "voz",
                    "voice": "nova",
                    "ending": "ogg",
                    "timeout_seconds": 5,
                    **how,
                }
            ) as client,
        ):
            yield client, outside


@pytest.mark.parametrize(("ending", "asked_for"), [("ogg", "opus"), ("mp3", "mp3")])
async def test_words_become_a_file(
    monkeypatch: pytest.MonkeyPatch, ending: sound.Ending, asked_for: str
) -> None:
    asked: list[dict[str, Any]] = []
    answer = audio.speech_answer

    def noted(body: dict[str, Any]) -> Answer:
        asked.append(body)
        return answer(body)

    monkeypatch.setattr(audio, "speech_answer", noted)
    async with speaker(ending=ending) as (client, _):
        data = await client.speak("Con mucho gusto. " * 300)
    assert data.startswith(sound.BEGINNINGS[ending])
    (body,) = asked
    assert body.pop("input") == ("Con mucho gusto. " * 300)[:MAX_INPUT]
    assert body == {"model": "voz", "voice": "nova", "response_format": asked_for}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (json_answer({"error": {"message": "busy"}}, 503), ModelTemporary),
        (json_answer({"error": {"message": "no such voice"}}, 400), ModelRejected),
        (json_answer({"oops": True}), ModelRejected),
        (Answer(200, b"", "audio/ogg"), ModelRejected),
    ],
    ids=["busy", "refused", "no file", "nothing"],
)
async def test_a_response_that_is_no_audio_is_an_error(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, error: type[Exception]
) -> None:
    monkeypatch.setattr(audio, "speech_answer", lambda _body: answer)
    async with speaker() as (client, _):
        with pytest.raises(error):
            await client.speak("Hola")


async def test_a_server_that_keeps_failing_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each answer would else wait for it before it is written."""
    monkeypatch.setattr(audio, "speech_answer", lambda _body: json_answer({}, 500))
    async with speaker() as (client, outside):
        for _ in range(sound.FAILURES + 2):
            with pytest.raises(ModelTemporary):
                await client.speak("Hola")
        assert len(outside.model.hits) == sound.FAILURES


async def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, _say_nothing, [listener])
        port = listener.socket.getsockname()[1]
        async with speaker(base_url=f"http://127.0.0.1:{port}", timeout_seconds=0.2) as (client, _):
            with pytest.raises(ModelTemporary):
                await client.speak("Hola")
        nursery.cancel_scope.cancel()


async def _say_nothing(_stream: trio.SocketStream) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("seconds", [1, 7, 61])
def test_the_length_of_a_voice_note_is_read_from_its_file(seconds: int) -> None:
    data = audio.ogg_opus([PACKET] * (seconds * 50))
    assert spoken_seconds(data) == seconds


@pytest.mark.parametrize("data", [b"", b"OggS", b"OggSOpusHead", b"\xff\xfb", b"x" * 99])
def test_a_sound_without_a_length_has_none(data: bytes) -> None:
    assert spoken_seconds(data) == 0
