"""Customers who change or take back what they wrote, before, during and after the answer."""

from pathlib import Path

import pytest
import trio
from support.model_script import call, say
from support.rows import states_of
from support.scenes import closes_with, found, model_input, open_scene, outcomes, thread
from support.stage import LAURA, Stage, text_webhook

from daemon.domain.prompt.message_text import data_item

as_action_or_event = pytest.mark.parametrize("as_event", [False, True], ids=["action", "event"])


async def edit(stage: Stage, message_id: str, text: str, *, as_event: bool) -> None:
    """The customer edits, told of as an action or by ``messages_updates``."""
    await stage.gateway.customer_edits(message_id, text, as_update=as_event, deliver="acknowledged")


async def delete(stage: Stage, message_id: str, *, as_event: bool) -> None:
    """The customer deletes, told of as an action or by ``messages_removed``."""
    await stage.gateway.customer_deletes(message_id, as_removal=as_event, deliver="acknowledged")


@as_action_or_event
async def test_changes_in_the_window_count_as_written_so(tmp_path: Path, *, as_event: bool) -> None:
    """The model sees the new words only, and nothing of what was deleted."""
    async with open_scene(tmp_path, buffer=closes_with(3)) as stage:
        edited = await stage.gateway.customer_says(LAURA, "El sábado")
        deleted = await stage.gateway.customer_says(LAURA, "olvídalo")
        await edit(stage, edited, "El domingo", as_event=as_event)
        await delete(stage, deleted, as_event=as_event)
        await stage.gateway.customer_says(LAURA, "por favor")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [c.customer_texts for c in stage.model.calls] == [["El domingo\npor favor"]]
        assert states_of(stage.settings.data_dir)[deleted] == (
            "ignored",
            "deleted by its author",
        )
        assert len(stage.received()) == 1


@as_action_or_event
async def test_an_edit_during_the_run_is_answered_in_its_new_words(
    tmp_path: Path, *, as_event: bool
) -> None:
    """The run begins again; the old words are answered by nobody."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("viejo", gate=trio.Event()), say("nuevo"))
        asked = await stage.gateway.customer_says(LAURA, "El sábado")
        (first,) = await stage.model.wait_requests(1)
        await edit(stage, asked, "El domingo", as_event=as_event)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["nuevo"]
        assert first.outcome == "cancelled"
        assert stage.model.calls[1].customer_texts == ["El domingo"]


@as_action_or_event
async def test_all_deleted_during_the_run_means_no_answer(
    tmp_path: Path, *, as_event: bool
) -> None:
    """A burst taken back whole is answered with silence, and the model stops."""
    async with open_scene(tmp_path, buffer={"window_seconds": 0.4}) as stage:
        stage.model.script(say("viejo", gate=trio.Event()))
        ids = [await stage.gateway.customer_says(LAURA, text) for text in ("Hola", "perdón")]
        (run,) = await stage.model.wait_requests(1)
        for message_id in ids:
            await delete(stage, message_id, as_event=as_event)
        await run.ended.wait()
        await stage.quiet()
        assert (stage.received(), outcomes(stage)) == ([], ["ignored"])
        assert run.outcome == "cancelled"
        assert len(stage.model.calls) == 1


async def test_all_deleted_in_the_window_means_no_run(tmp_path: Path) -> None:
    """Nothing is asked of the model, and nothing said."""
    patient = {"typing_seconds": 60.0, "max_wait_seconds": 60.0}
    async with open_scene(tmp_path, buffer=patient) as stage:
        stage.gateway.presences_need_subscription = False
        hello = stage.gateway.compose(LAURA, "Hola")
        asked = str(hello["id"])
        typing = {"contact_id": LAURA, "status": "typing"}
        await stage.gateway.announce([hello], presences=[typing])
        await delete(stage, asked, as_event=True)
        await stage.gateway.customer_stops(LAURA)
        await stage.quiet()
        assert (stage.received(), stage.model.calls) == ([], [])
        assert states_of(stage.settings.data_dir)[asked] == (
            "ignored",
            "deleted by its author",
        )


@as_action_or_event
async def test_changes_after_the_answer_are_noted_and_not_answered(
    tmp_path: Path, *, as_event: bool
) -> None:
    """The thread has them for the next turn; the customer gets no second answer."""
    async with open_scene(tmp_path) as stage:
        both = [stage.gateway.compose(LAURA, text) for text in ("El sábado", "con desayuno")]
        edited, deleted = [str(message["id"]) for message in both]
        await stage.gateway.announce(both)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        await edit(stage, edited, "El domingo", as_event=as_event)
        await delete(stage, deleted, as_event=as_event)
        await stage.gateway.customer_says(LAURA, "¿Listo?")
        await stage.gateway.wait_sent(LAURA, 2)
        await stage.quiet()
        notes = [text for text in model_input(stage, role="data") if "customer" in text]
        assert notes == [
            "[The customer edited an earlier message. It now says:] El domingo",
            "[The customer deleted an earlier message:] con desayuno",
        ]
        assert len(stage.received()) == 2
        assert {state for state, _ in states_of(stage.settings.data_dir).values()} == {
            "answered",
            *({"ignored"} if not as_event else ()),
        }


@as_action_or_event
async def test_a_change_that_comes_before_its_message_waits_for_it(
    tmp_path: Path, *, as_event: bool
) -> None:
    """WhatsApp promises no order: the message is stored in its new words when it comes."""
    async with open_scene(tmp_path) as stage:
        gateway = stage.gateway
        edited = gateway.compose(LAURA, "El sábado")
        deleted = gateway.compose(LAURA, "olvídalo")
        await edit(stage, edited["id"], "El domingo", as_event=as_event)
        await delete(stage, deleted["id"], as_event=as_event)
        await gateway.announce([edited, deleted])
        await gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [c.customer_texts for c in stage.model.calls] == [["El domingo"]]
        assert len(stage.received()) == 1


async def test_a_change_that_the_answer_could_not_take_in_is_noted(tmp_path: Path) -> None:
    """A tool has had its effect, so the run goes on: the next turn knows of the edit."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "hotel.py").write_text(
        "from daemon.tools.tool import tool\n\n"
        "@tool(effects=True)\nasync def book() -> str:\n    'Book.'\n    return 'booked'\n"
    )
    async with open_scene(tmp_path, tools={"folder": folder}) as stage:
        finish = trio.Event()
        stage.model.script(call("book"), say("reservado", gate=finish))
        asked = await stage.gateway.customer_says(LAURA, "El sábado")
        await stage.model.wait_requests(2)
        await edit(stage, asked, "El domingo", as_event=False)
        finish.set()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert stage.received() == ["reservado"]
        assert thread(stage)[-1] == data_item(
            "note", "[The customer edited an earlier message. It now says:] El domingo"
        )


async def test_a_message_edited_while_the_model_is_down_is_answered_as_edited(
    tmp_path: Path,
) -> None:
    """Between two attempts the words change: the second attempt asks with the new ones."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("", status=429, headers={"retry-after": "1"}))
        asked = await stage.gateway.customer_says(LAURA, "El sábado")
        await found(lambda: stage.events("model error, trying again"))
        await edit(stage, asked, "El domingo", as_event=False)
        await stage.gateway.wait_sent(LAURA)
        assert stage.model.calls[-1].customer_texts == ["El domingo"]


async def test_an_edit_without_new_words_changes_nothing(tmp_path: Path) -> None:
    """The same edit told twice, or one that says what is there, begins nothing again."""
    async with open_scene(tmp_path) as stage:
        finish = trio.Event()
        stage.model.script(say("sí", gate=finish))
        await stage.post(text_webhook("Hola", "plain-0001"))
        await stage.model.wait_requests(1)
        stage.gateway.compose(LAURA, "Hola", id="plain-0001")
        for _ in range(2):
            await edit(stage, "plain-0001", "Hola", as_event=False)
        finish.set()
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert (len(stage.model.calls), stage.received()) == (1, ["sí"])
