"""Voice notes answered by voice notes, over real HTTP: once, spoken where fit, else written."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from support.faults import FaultKind
from support.gateway import EchoMode
from support.model_script import say
from support.plain import NO_TLS
from support.rows import select
from support.scenes import forgive, found, open_scene, outbox, outcomes, thread, words
from support.stage import LAURA, Stage

from daemon.assistant.sound import Speech
from daemon.sandbox import audio
from daemon.sandbox.asgi import Answer, json_answer

pytestmark = pytest.mark.usefixtures("both_file_stores")

VOICE = {"speech_model": "voz", "speech_format": "ogg"}
SPEECH = ("POST", "/audio/speech")
NOTE: dict[str, Any] = {
    "type": "voice",
    "voice": {"id": "oga-0a1b-0c2d", "mime_type": "audio/ogg; codecs=opus", "seconds": 3},
}
FIT = "¡Con mucho gusto! 😊 La esperamos el *viernes* en la tarde."
PRICED = "La habitación doble cuesta $180.000 la noche."


async def speaks(stage: Stage) -> None:
    """A customer sends a voice note."""
    await stage.gateway.customer_sends(LAURA, NOTE)


def spoken(stage: Stage) -> int:
    """How often the speech model was asked."""
    return sum(path.endswith("/audio/speech") for _, path in stage.model.hits)


def kinds(stage: Stage) -> list[str]:
    """The kinds of messages that the customer has got."""
    return [sent.kind for sent in stage.gateway.sent(LAURA)]


def counted(body: str, result: str) -> float:
    """One series of the metric of voice replies."""
    name = f'recado_voice_replies_total{{result="{result}"}} '
    return next(float(line.removeprefix(name)) for line in body.splitlines() if name in line)


def payloads(stage: Stage) -> list[dict[str, Any]]:
    """What the outbox knows of its messages besides their words."""
    rows = select(stage.settings.data_dir, "outbox", "payload", order="id")
    return [json.loads(payload) for (payload,) in rows]


async def test_a_voice_note_is_answered_by_one(tmp_path: Path) -> None:
    """We are seen recording, the file is served, and the thread has the words."""
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        await speaks(stage)
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert sent.kind == "voice"
        assert sent.request["mime_type"] == "audio/ogg; codecs=opus"
        assert sent.request["seconds"] > 0
        assert sent.request["media"].startswith("data:audio/ogg;base64,T2dnU")
        assert words(thread(stage)[-1]) == FIT
        assert outbox(stage) == [("sent", FIT)]
        (payload,) = payloads(stage)
        answer = await stage.get(f"/audio/{payload['file']}")
        assert (answer.status_code, answer.headers["content-type"]) == (
            200,
            "audio/ogg; codecs=opus",
        )
        assert answer.content.startswith(b"OggS")
        metrics = (await stage.get("/metrics")).text
        assert counted(metrics, "sent") == 1
        assert 'operation="speech",outcome="ok",service="model"} 1.0' in metrics


async def test_a_file_is_served_in_parts_and_nothing_else_is(tmp_path: Path) -> None:
    """The replaced system's names, answers and headers; ranges for players."""
    async with open_scene(tmp_path, voice={**VOICE, "speech_format": "mp3"}) as stage:
        stage.model.script(say(FIT))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        (payload,) = payloads(stage)
        name = payload["file"]
        async with httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as client:
            whole = await client.get(f"/audio/{name}")
            part = await client.get(f"/audio/{name}", headers={"Range": "bytes=2-5"})
            refusals = {
                path: await client.get(f"/audio/{path}")
                for path in ("voice_1_2.wav", "x.mp3", "..%2frecado.db", "a/voice_1_2.mp3")
            }
            missing = await client.get("/audio/voice_1_2.ogg")
        assert whole.headers["content-type"] == "audio/mpeg"
        assert whole.headers["cache-control"] == "no-cache, no-store, must-revalidate"
        assert (part.status_code, part.content) == (206, whole.content[2:6])
        assert {r.status_code for r in refusals.values()} == {400}
        assert {r.text for r in refusals.values()} == {'{"error":"Invalid filename"}\n'}
        assert (missing.status_code, missing.json()) == (404, {"error": "Audio file not found"})


@pytest.mark.parametrize("answer", [PRICED, "Mire: https://example.com/menu", "a " * 800 + "b"])
async def test_an_unspeakable_answer_is_written(tmp_path: Path, answer: str) -> None:
    """Prices, links, what cannot be cut: nothing is paid for speech that nobody can use."""
    async with open_scene(tmp_path, voice=VOICE, validators={"disabled": ("amounts",)}) as stage:
        stage.model.script(say(answer), say(answer))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert set(kinds(stage)) <= {"text", "link_preview"}
        assert not spoken(stage)
        assert counted((await stage.get("/metrics")).text, "unfit") == 1


async def test_a_text_is_answered_in_writing(tmp_path: Path) -> None:
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT), say(FIT))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["text"]


async def test_the_switch_turns_voice_off(tmp_path: Path) -> None:
    async with open_scene(tmp_path, voice={**VOICE, "reply_with_voice": False}) as stage:
        stage.model.script(say(FIT))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["text"]


async def test_a_long_answer_is_several_voice_notes_in_order(tmp_path: Path) -> None:
    answer = "Uno y dos, tres y cuatro, cinco y seis, ya. Siete, ocho, nueve y diez, y se acabó."
    async with open_scene(tmp_path, voice={**VOICE, "max_characters": 50}) as stage:
        stage.model.script(say(answer))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["voice", "voice"]
        assert " ".join(body for _, body in outbox(stage)) == answer


async def test_recording_is_shown_in_the_place_of_typing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.conversation.delivery.FIRST_TYPING_SECONDS", 0.05)
    monkeypatch.setattr("daemon.conversation.presence.REFRESH_SECONDS", 3600.0)
    async with open_scene(tmp_path, voice=VOICE, delivery={"typing": True}) as stage:
        stage.model.script(say(FIT))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        shown = [presence.presence for presence in stage.gateway.presences(LAURA)]
        assert shown == ["recording", "recording"]  # during the run, and before the message
        assert kinds(stage) == ["voice"]


async def test_typing_is_shown_once_it_is_known_that_nothing_will_be_spoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.conversation.delivery.FIRST_TYPING_SECONDS", 0.05)
    monkeypatch.setattr("daemon.conversation.presence.REFRESH_SECONDS", 3600.0)
    monkeypatch.setattr(audio, "speech_answer", lambda _body: Answer(200, b"", "audio/ogg"))
    async with open_scene(tmp_path, voice=VOICE, delivery={"typing": True}) as stage:
        stage.model.script(say(FIT))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        shown = [presence.presence for presence in stage.gateway.presences(LAURA)]
        assert shown == ["recording", "recording", "typing"]
        assert kinds(stage) == ["text"]


async def test_an_agent_who_writes_during_the_speech_call_stops_the_voice_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, gate = trio.Event(), trio.Event()
    speak = Speech.speak

    async def slowly(self: Speech, text: str) -> bytes:
        asked.set()
        await gate.wait()
        return await speak(self, text)

    monkeypatch.setattr(Speech, "speak", slowly)
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        await speaks(stage)
        await asked.wait()
        await stage.gateway.agent_says(LAURA, "Yo le ayudo")
        gate.set()
        await found(lambda: outcomes(stage) == ["handed_off"])
        assert stage.gateway.sent(LAURA) == []
        assert outbox(stage) == [("dropped", FIT)]


@pytest.mark.parametrize(
    "broken",
    [
        lambda _body: json_answer({"error": {"message": "overloaded"}}, 503),
        lambda _body: json_answer({"error": {"message": "no such voice"}}, 400),
        lambda _body: Answer(200, b"<html>", "text/html"),
        lambda _body: Answer(200, b"", "audio/ogg"),
    ],
    ids=["down", "refused", "a page", "nothing"],
)
async def test_without_speech_the_answer_is_sent_once_as_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    """One try for the whole answer, then all of it in writing, in order."""
    monkeypatch.setattr(audio, "speech_answer", broken)
    answer = "Uno y dos, tres y cuatro, cinco y seis, ya. Siete, ocho, nueve y diez, y se acabó."
    async with open_scene(tmp_path, voice={**VOICE, "max_characters": 50}) as stage:
        stage.model.script(say(answer))
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA, 2)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["text", "text"]
        assert " ".join(stage.received()) == answer
        assert spoken(stage) == 1
        assert counted((await stage.get("/metrics")).text, "not_made") == 1


async def test_a_voice_note_that_is_refused_is_written_once(tmp_path: Path) -> None:
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        stage.gateway.faults.add(operation="send", kind="status", status=415)
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == [FIT]
        assert kinds(stage) == ["text"]
        assert payloads(stage) == [{"instead_of": "voice"}]
        assert counted((await stage.get("/metrics")).text, "refused") == 1


async def test_a_refusal_that_names_what_a_voice_note_lacks_refuses_the_voice_note(
    tmp_path: Path,
) -> None:
    """It is written, not given up: it quotes nobody, so nothing can be left out."""
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        stage.gateway.faults.add(
            operation="send", kind="status", status=400, message="Wrong parameters: quoted"
        )
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert stage.received() == [FIT]
        assert kinds(stage) == ["text"]


@pytest.mark.parametrize(
    ("kind", "echo", "sends"),
    [
        ("drop_after", "after", 1),
        ("drop_after", "missing", 1),
        ("half_body", "other_id", 1),
        ("drop_before", "after", 2),
    ],
)
async def test_a_voice_note_of_unknown_outcome_is_sent_once(
    tmp_path: Path, kind: FaultKind, echo: EchoMode, sends: int
) -> None:
    """Settled by its echo, else by listing the chat; never said as text beside it."""
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.gateway.echoes.mode = echo
        stage.model.script(say(FIT))
        stage.gateway.faults.add(operation="send", kind=kind)
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["voice"]
        assert outbox(stage) == [("sent", FIT)]
        assert len(stage.gateway.calls("send")) == sends
        assert spoken(stage) == 1


async def test_a_voice_note_that_never_arrives_is_written_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was looked for and not found."""
    monkeypatch.setattr("daemon.conversation.speech.MAX_VOICE_TRIES", 1)
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        stage.gateway.faults.add(operation="send", kind="drop_before")
        await speaks(stage)
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["text"]
        assert stage.received() == [FIT]


async def test_a_crash_between_speech_and_send_does_not_pay_twice(tmp_path: Path) -> None:
    """The file is on the disk before the send begins, and the next process sends it."""
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        trouble = stage.gateway.faults.add(operation="send", kind="status", status=401, times=-1)
        await speaks(stage)
        await stage.gateway.wait_for(lambda: trouble.hits > 0)
        await stage.crash()
        forgive(stage)
        stage.gateway.reset_faults()
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["voice"]
        assert spoken(stage) == 1


async def test_a_crash_during_the_send_sends_nothing_twice(tmp_path: Path) -> None:
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.gateway.echoes.mode = "missing"
        stage.model.script(say(FIT))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await speaks(stage)
        await held.reached.wait()
        await stage.gateway.wait_sent(LAURA)
        await stage.crash()
        await stage.start()
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["voice"]
        assert (len(stage.gateway.calls("send")), spoken(stage)) == (1, 1)


async def test_old_voice_notes_are_deleted_but_not_those_still_to_be_sent(tmp_path: Path) -> None:
    async with open_scene(tmp_path, voice=VOICE) as stage:
        stage.model.script(say(FIT))
        trouble = stage.gateway.faults.add(operation="send", kind="status", status=401, times=-1)
        await speaks(stage)
        await stage.gateway.wait_for(lambda: trouble.hits > 0)
        folder = stage.settings.data_dir / "audio"
        (folder / "voice_1_2.ogg").write_bytes(b"OggS")
        await stage.stop()
        stage.later_seconds = 25 * 3600.0
        stage.rules = {**stage.rules, "max_age_seconds": 1e9}
        await stage.start()
        kept = payloads(stage)[0]["file"]
        await found(lambda: [p.name for p in folder.iterdir()], lambda names: names == [kept])
        stage.gateway.reset_faults()
        await stage.gateway.wait_sent(LAURA)
        forgive(stage)  # the trouble, of either process
        await found(lambda: outcomes(stage) == ["answered"])
        assert kinds(stage) == ["voice"]
