"""What people send as files, through the whole daemon: heard, read, seen, or said to be missing."""

import base64
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from support import object_store
from support.forgetting import forget
from support.ledgers import OPERATOR
from support.model_script import Step
from support.place import cli_connection
from support.rows import select
from support.scenes import (
    PEDRO,
    closes_with,
    forgive,
    found,
    logged,
    model_input,
    open_scene,
    outcomes,
    role_of,
    thread,
    words,
)
from support.stage import LAURA, Stage, text_webhook

from daemon.domain.messages import JsonObject
from daemon.ledger.admin.person import held_of
from daemon.sandbox import samples

pytestmark = pytest.mark.usefixtures("both_file_stores")

HEARS = {"transcription_model": "sandbox-transcription"}


def parts(stage: Stage, number: int = -1) -> list[JsonObject]:
    """The parts of the burst that one call of the model was given."""
    content: Any = stage.model.calls[number].items[-1]["content"]
    return content if isinstance(content, list) else [{"type": "input_text", "text": content}]


def kinds(stage: Stage) -> list[str]:
    """The kinds of these parts, in order."""
    return [part["type"] for part in parts(stage)]


def media_rows(stage: Stage) -> list[tuple[Any, ...]]:
    """State, reason and words of each file that was ever sent, oldest first."""
    return select(
        stage.settings.data_dir,
        "media m JOIN messages s ON s.id = m.message_id",
        "m.state, m.reason, m.words, m.words_error, m.file",
        order="s.seq",
    )


async def test_a_voice_note_is_transcribed(tmp_path: Path) -> None:
    """The model is told what was said, now and in the next turn; the file is fetched by link."""
    async with open_scene(tmp_path, voice=HEARS) as stage:
        laura = stage.gateway.contact(LAURA)
        stage.model.transcript = "Quiero dos noches"
        await laura.send_voice()
        await stage.quiet()
        assert model_input(stage)[-1] == "[voice note] Quiero dos noches"
        assert words(thread(stage)[-2]) == "[voice note] Quiero dos noches"
        assert [row[:3] for row in media_rows(stage)] == [("stored", "", "Quiero dos noches")]
        metrics = (await stage.get("/metrics")).text
        assert 'operation="transcription",outcome="ok",service="model"} 1.0' in metrics


async def test_pictures_are_in_the_order_of_the_burst(tmp_path: Path) -> None:
    """A burst goes to the model whole; its thread keeps one line for each file."""
    async with open_scene(tmp_path, voice=HEARS, buffer=closes_with(4)) as stage:
        laura = stage.gateway.contact(LAURA)
        await laura.send_image(caption="la sala")
        await laura.send_image(link=False)
        await laura.say("¿Cuál es?")
        await laura.send_voice()
        await stage.quiet()
        assert kinds(stage) == [
            "input_text",
            "input_image",
            "input_text",
            "input_image",
            "input_text",
        ]
        texts = [part["text"] for part in parts(stage) if part["type"] == "input_text"]
        assert texts[:2] == ["[image] la sala", "[image]"]
        assert texts[2].startswith("¿Cuál es?\n[voice note] ")
        assert parts(stage)[1]["image_url"].startswith("data:image/jpeg;base64,")
        kept = words(next(item for item in thread(stage) if role_of(item) == "user"))
        assert kept.startswith("[image] la sala\n[image]\n¿Cuál es?\n[voice note] ")


class Ear:
    """A transcription server that lets the test decide when, and whether, it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = trio.Event()
        self.requests = 0
        self.deaf = False
        self.gate = trio.Event()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one upload."""
        self.requests += 1
        self.asked.set()
        with suppress(trio.BrokenResourceError):
            while b"--\r\n" not in (piece := await stream.receive_some()):
                if not piece:
                    return
            await self.gate.wait()
            body = b"{}" if self.deaf else b'{"text": "Tres noches"}'
            status = "400 No" if self.deaf else "200 OK"
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n"
            length = f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await stream.send_all((head + length).encode() + body)


@pytest.fixture
async def ear(nursery: trio.Nursery) -> Ear:
    """A transcription server that hears, once its gate is open."""
    ear = Ear()
    (listener,) = await nursery.start(partial(trio.serve_tcp, ear.serve, 0, host="127.0.0.1"))
    ear.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/v1"
    return ear


def refuses_pictures() -> Step:
    """A model server that knows no pictures, once."""

    def has_picture(body: dict[str, Any]) -> bool:
        return "input_image" in str(body["input"])

    return Step(when=has_picture, status=400, message="This model takes no images.")


def hearing(ear: Ear) -> Mapping[str, Any]:
    """Settings of a daemon that hears there."""
    return {"transcription_model": "x", "transcription_base_url": ear.url}


def files(stage: Stage) -> list[Path]:
    """The files of messages that are kept, wherever they are."""
    return object_store.kept_files(stage.settings.data_dir, "media")


async def test_a_slow_transcription_delays_no_other_chat(tmp_path: Path, ear: Ear) -> None:
    """Another chat is answered meanwhile."""
    async with open_scene(tmp_path, voice=hearing(ear)) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await ear.asked.wait()
        await stage.gateway.contact(PEDRO).say("Hola")
        await stage.gateway.wait_sent(PEDRO)
        assert stage.received(LAURA) == []
        ear.gate.set()
        await stage.gateway.wait_sent(LAURA)
        assert model_input(stage)[-1] == "[voice note] Tres noches"


async def test_an_agent_during_the_transcription_keeps_the_chat(tmp_path: Path, ear: Ear) -> None:
    """What is not answered by us is not marked as read either."""
    async with open_scene(tmp_path, voice=hearing(ear)) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await ear.asked.wait()
        await found(lambda: outcomes(stage) == [""])  # its turn waits for the words
        await stage.gateway.agent_says(LAURA, "Yo le ayudo")
        await found(lambda: outcomes(stage) == ["handed_off"])
        ear.gate.set()
        await stage.quiet()
        assert stage.model.calls == []
        assert not stage.gateway.calls("mark_read")


async def test_a_transcription_is_waited_for_only_so_long(tmp_path: Path, ear: Ear) -> None:
    """The model is told what it lacks, and the customer is answered."""
    async with open_scene(tmp_path, voice=hearing(ear), media={"wait_seconds": 0.3}) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await stage.gateway.wait_sent(LAURA)
        assert "voice note" in model_input(stage)[-1]
        assert "that could not be heard]" in model_input(stage)[-1]


async def test_an_untranscribed_voice_note_is_named_to_the_model(tmp_path: Path, ear: Ear) -> None:
    """No invented transcript: the model knows that it has to ask."""
    ear.deaf = True
    ear.gate.set()
    async with open_scene(tmp_path, voice=hearing(ear)) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await stage.quiet()
        assert "that could not be heard]" in model_input(stage)[-1]
        assert ear.requests == 1
        ((state, _, heard, error, _),) = media_rows(stage)
        assert (state, heard) == ("stored", None)
        assert "400" in error


async def test_without_a_transcription_model_the_line_has_the_reason(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await stage.quiet()
        assert "what is spoken cannot be heard here]" in model_input(stage)[-1]


async def test_an_unsupported_audio_format_is_named_to_the_model(tmp_path: Path, ear: Ear) -> None:
    """AMR, as some telephones record: no server is asked, and the operator is told once."""
    amr = b"#!AMR\n" + bytes([0x3C, *range(31)]) * 50
    async with open_scene(tmp_path, voice=hearing(ear)) as stage:
        for _ in range(2):
            await stage.gateway.contact(LAURA).send_voice(amr, "audio/amr")
            await stage.quiet()
            assert "voice note" in model_input(stage)[-1]
            assert "in a format that cannot be heard here]" in model_input(stage)[-1]
        assert outcomes(stage) == ["answered"] * 2
        assert ear.requests == 0
        assert [row[3] for row in media_rows(stage)] == ["no model hears its format: audio/amr"] * 2
        (line,) = stage.events("voice error")
        assert "audio/amr" in line["error"]


async def test_a_restart_transcribes_nothing_twice(tmp_path: Path, ear: Ear) -> None:
    """A file that was fetched is not fetched again, nor one heard again; what was cut is begun."""
    async with open_scene(tmp_path, voice=hearing(ear)) as stage:
        await stage.gateway.contact(LAURA).send_voice()
        await ear.asked.wait()
        await stage.crash()
        fetched = files(stage)
        ear.gate.set()
        stage.model.is_down = True
        await stage.start()
        await found(lambda: media_rows(stage)[0][2])
        await stage.crash()
        stage.model.is_down = False
        await stage.start()
        await stage.gateway.wait_sent(LAURA)
        assert model_input(stage)[-1] == "[voice note] Tres noches"
        assert ear.requests == 2
        assert files(stage) == fetched
        forgive(stage)


async def test_a_missing_file_is_a_line(tmp_path: Path) -> None:
    """A link to the inside is not followed either."""
    content = {"id": "jpeg-00-00", "mime_type": "image/jpeg", "link": "http://10.0.0.1/a.jpeg"}
    async with open_scene(tmp_path) as stage:
        await stage.gateway.contact(LAURA).send({"type": "image", "image": content})
        await stage.quiet()
        assert model_input(stage)[-1] == "[image that could not be loaded]"
        assert [row[0] for row in media_rows(stage)] == ["failed"]
        await found(lambda: files(stage) == [])


async def test_video_sticker_and_document_reach_the_model(tmp_path: Path) -> None:
    """A first picture for what moves, a picture for a sticker, a text for a document."""
    async with open_scene(tmp_path, buffer=closes_with(3)) as stage:
        laura = stage.gateway.contact(LAURA)
        await laura.send_video(caption="miren")
        await laura.send_sticker()
        await laura.send_document()
        await stage.quiet()
        assert kinds(stage) == ["input_text", "input_image"] * 2 + ["input_text"]
        texts = [part["text"] for part in parts(stage) if part["type"] == "input_text"]
        assert texts[0] == "[video, 2 s: its first picture] miren"
        assert texts[1] == "[sticker]"
        assert texts[2].startswith("[document reserva.pdf, 1 pages; its text:]\n")


async def test_a_pdf_goes_as_a_file_where_the_server_takes_one(tmp_path: Path) -> None:
    async with open_scene(tmp_path, media={"documents": "file"}) as stage:
        await stage.gateway.contact(LAURA).send_document()
        await stage.quiet()
        assert kinds(stage) == ["input_text", "input_file"]
        assert parts(stage)[1]["filename"] == "reserva.pdf"
        assert parts(stage)[1]["file_data"].startswith("data:application/pdf;base64,")


async def test_a_model_that_refuses_pictures_is_asked_without_them(tmp_path: Path) -> None:
    """One refusal costs one more call, not the answer."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(refuses_pictures())
        await stage.gateway.contact(LAURA).send_image(caption="la sala")
        await stage.quiet()
        assert len(stage.model.calls) == 2
        assert model_input(stage)[-1] == "[image, which you cannot see] la sala"
        assert len(stage.received()) == 1


async def test_bytes_in_the_call_itself_are_used(tmp_path: Path) -> None:
    """A large call is stored whole; its message has the name of a file, not the bytes."""
    picture = samples.first_of("image").data + bytes(900_000)
    link = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    async with open_scene(tmp_path) as stage:
        body = text_webhook("", "m-1", type="image", image={"link": link, "caption": "la sala"})
        answer = await stage.post(body)
        assert answer.status_code == 200
        await stage.quiet()
        assert parts(stage)[1]["image_url"] == link
        assert [path.read_bytes() for path in files(stage)] == [picture]
        ((message,),) = select(stage.settings.data_dir, "messages", "message", where={"from_me": 0})
        assert len(message) < 1000


async def test_view_once_files_are_not_kept(tmp_path: Path) -> None:
    """Its own turn sees it; afterwards there is neither file nor word of it."""
    async with open_scene(tmp_path, voice=HEARS, buffer=closes_with(2)) as stage:
        stage.model.transcript = "Un secreto"
        laura = stage.gateway.contact(LAURA)
        await laura.send_image(view_once=True)
        await laura.send_voice(view_once=True)
        await stage.quiet()
        assert kinds(stage) == ["input_text", "input_image", "input_text"]
        assert "Un secreto" in model_input(stage)[-1]
        await found(lambda: files(stage) == [])
        assert [(row[0], row[2]) for row in media_rows(stage)] == [("gone", None)] * 2
        kept = [item for item in thread(stage) if item.get("role") == "user"]
        assert "secreto" not in str(kept)


async def test_old_and_orphaned_files_are_deleted(tmp_path: Path) -> None:
    """A file is kept for its days; one that no message has, for an hour."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.contact(LAURA).send_image()
        await stage.quiet()
        (kept,) = files(stage)
        object_store.plant(kept.with_name(f"{'0' * 64}.bin"), b"x")
        await stage.stop()
        stage.later_seconds = 2 * 3600.0
        await stage.start()
        await logged(stage, "old files deleted")
        await found(lambda: files(stage) == [kept])
        await stage.stop()
        stage.later_seconds = 31 * 24 * 3600.0
        await stage.start()
        await logged(stage, "old files deleted", 2)
        await found(lambda: files(stage) == [])
        assert [row[:2] for row in media_rows(stage)] == [("gone", "it is too old to be kept")]


async def test_the_files_of_a_forgotten_person_are_deleted(tmp_path: Path) -> None:
    """Unless somebody else has sent the same file; an export names them before."""
    async with open_scene(tmp_path, voice=HEARS) as stage:
        stage.model.transcript = "Zarzamora"
        await stage.gateway.contact(LAURA).send_voice()
        await stage.gateway.contact(LAURA).send_image()
        await stage.gateway.contact(PEDRO).send_image()
        await stage.quiet()
        data_dir = stage.settings.data_dir
        laura = f"{LAURA}@s.whatsapp.net"
        with cli_connection(data_dir) as connection:
            held = held_of(connection, [laura])
            assert [row["words"] for row in held["media"]] == ["Zarzamora", None]
            assert {row["file"] for row in held["media"]} == {path.name for path in files(stage)}
            assert forget(connection, [laura], data_dir, by=OPERATOR, now=time.time()).files == 2
        left = await found(lambda: files(stage), lambda left: len(left) == 1)
        assert [path.suffix for path in left] == [".jpg"]
        assert [row[2] for row in media_rows(stage)] == [None]
