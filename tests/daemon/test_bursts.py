"""Bursts of all kinds arrive at the model whole and in the order in which they were written."""

from pathlib import Path
from typing import Any

from support.scenes import closes_with, open_scene, words
from support.stage import LAURA, Stage

from daemon.domain.messages import JsonObject


def a_file(kind: str, **fields: Any) -> JsonObject:
    return {"type": kind, kind: {"id": f"{kind}-1-2", "mime_type": "x/y", **fields}}


IMAGE = a_file("image", caption="la sala")
SECOND_IMAGE = a_file("image", caption="la cocina")
VOICE = a_file("voice", seconds=3)
ALBUM: JsonObject = {"type": "album", "album": {"expected_image_count": 2}}
BRIEFLY = {"wait_seconds": 0.3}


async def burst_of(stage: Stage) -> list[str]:
    """The lines of the only turn, once it is answered."""
    await stage.gateway.wait_sent(LAURA)
    await stage.quiet()
    (call,) = stage.model.calls
    return words(call.items[-1]).splitlines()


async def test_pictures_words_and_a_voice_note_keep_their_order(tmp_path: Path) -> None:
    async with open_scene(tmp_path, buffer=closes_with(4), media=BRIEFLY) as stage:
        for content in (IMAGE, SECOND_IMAGE):
            await stage.gateway.customer_sends(LAURA, content)
        await stage.gateway.customer_says(LAURA, "¿cuál de los dos?")
        await stage.gateway.customer_sends(LAURA, VOICE)
        sala, cocina, question, voice = await burst_of(stage)
        assert sala.startswith("[image")
        assert sala.endswith("la sala")
        assert cocina.endswith("la cocina")
        assert question == "¿cuál de los dos?"
        assert voice.startswith("[voice")


async def test_an_album_is_its_pictures(tmp_path: Path) -> None:
    """WhatsApp announces how many pictures there will be; that is no message of its own."""
    async with open_scene(tmp_path, buffer=closes_with(2), media=BRIEFLY) as stage:
        for content in (ALBUM, IMAGE, SECOND_IMAGE):
            await stage.gateway.customer_sends(LAURA, content)
        sala, cocina = await burst_of(stage)
        assert (sala.endswith("la sala"), cocina.endswith("la cocina")) == (True, True)


async def test_one_call_may_hold_the_whole_burst(tmp_path: Path) -> None:
    async with open_scene(tmp_path, buffer=closes_with(3), media=BRIEFLY) as stage:
        people = stage.gateway
        await people.announce([people.compose(LAURA, one) for one in (IMAGE, "¿Sirve?", VOICE)])
        picture, question, voice = await burst_of(stage)
        assert picture.endswith("la sala")
        assert question == "¿Sirve?"
        assert voice.startswith("[voice")


async def test_an_edit_in_the_middle_of_a_burst_keeps_its_place(tmp_path: Path) -> None:
    """An edited text and an edited caption keep their place, a deleted message leaves none."""
    async with open_scene(tmp_path, buffer=closes_with(5), media=BRIEFLY) as stage:
        people = stage.gateway
        await people.customer_says(LAURA, "Hola")
        edited = await people.customer_says(LAURA, "el viernes")
        deleted = await people.customer_says(LAURA, "no, nada")
        picture = await people.customer_sends(LAURA, IMAGE)
        await people.customer_edits(edited, "el sábado", deliver="acknowledged")
        await people.customer_deletes(deleted, deliver="acknowledged")
        await people.customer_edits(picture, "el balcón", deliver="acknowledged")
        await people.customer_says(LAURA, "para dos")
        hello, day, balcony, how_many = await burst_of(stage)
        assert (hello, day, how_many) == ("Hola", "el sábado", "para dos")
        assert balcony.endswith("el balcón")
