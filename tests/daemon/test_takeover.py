"""A human agent answers from the phone: the bot falls silent at once, and knows it all later."""

from pathlib import Path

import pytest
import trio
from support.gateway import EchoMode
from support.model_script import say
from support.rows import count, select, states_of
from support.scenes import (
    QUICK_RULES,
    closes_with,
    end_pause,
    found,
    logged,
    model_input,
    open_scene,
    outcomes,
    thread,
)
from support.stage import LAURA, Stage

from daemon.conversation import delivery
from daemon.domain.states import WITH_AGENT
from daemon.domain.transitions.handover import AGENT_WROTE
from daemon.sandbox.payloads import OWN_NAME, chat_id_of, new_id, own_message, text_content

NOTE = f"[Mensaje manual de {OWN_NAME}]"


async def answered_after_pause(stage: Stage, text: str = "¿Sigues ahí?") -> list[str]:
    """Let the pause end and the customer write again; gives what the model was told then."""
    await end_pause(stage)
    before = len(stage.received())
    await stage.gateway.customer_says(LAURA, text)
    await stage.gateway.wait_sent(LAURA, before + 1)
    return model_input(stage)


async def test_an_agent_in_the_window_keeps_the_bot_silent(tmp_path: Path) -> None:
    """Nothing is asked of the model and nothing said; both sides' words are known afterwards."""
    async with open_scene(tmp_path, buffer=closes_with(2)) as stage:
        asked = await stage.gateway.customer_says(LAURA, "¿Hay cupo?", name="Laura")
        await stage.gateway.agent_says(LAURA, "Hola Laura, te atiendo yo", source="web")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert (stage.received(), stage.model.calls) == ([], [])
        assert states_of(stage.settings.data_dir)[asked] == ("handed_off", AGENT_WROTE)
        await end_pause(stage)
        for text in ("¿Sigues", "ahí?"):
            await stage.gateway.customer_says(LAURA, text)
        await stage.gateway.wait_sent(LAURA)
        known = model_input(stage)
        assert known[-5:-2] == ["¿Hay cupo?", NOTE, "Hola Laura, te atiendo yo"]
        assert known[-1] == "¿Sigues\nahí?"


async def test_an_agent_during_the_run_ends_it(tmp_path: Path) -> None:
    """The run is cancelled here and at the model server, and nothing of it is said."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("demasiado tarde", gate=trio.Event()))
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        (run,) = await stage.model.wait_requests(1)
        await stage.gateway.agent_says(LAURA, "Sí hay")
        await run.ended.wait()
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert run.outcome == "cancelled"
        assert stage.received() == []
        assert outcomes(stage) == ["handed_off"]
        known = await answered_after_pause(stage)
        assert known[-5:-2] == ["¿Hay cupo?", NOTE, "Sí hay"]


async def test_an_agent_between_two_chunks_stops_the_rest(tmp_path: Path) -> None:
    """What was said stays said, the rest is dropped, and the model is told where it was cut."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno\n\ndos\n\ntres"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await held.reached.wait()
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        await stage.calls_read()
        held.release()
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert stage.received() == ["uno"]
        assert outcomes(stage) == ["handed_off"]
        known = await answered_after_pause(stage)
        place = known.index("Yo sigo") - 1
        assert known[place] == NOTE
        assert "took over" in known[place - 1]
        assert known[place - 3 : place - 1] == ["¿Hay cupo?", "uno\n\ndos\n\ntres"]


async def test_an_agent_while_the_typing_shows_leaves_no_indicator_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken over in the seconds before the first chunk: not a word, and no typing left."""
    monkeypatch.setattr(delivery, "FIRST_TYPING_SECONDS", 60.0)
    async with open_scene(tmp_path, delivery={"typing": True}) as stage:
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await found(lambda: count(stage.settings.data_dir, "turns", where={"state !=": "open"}))
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert stage.received() == []
        assert stage.gateway.presences(LAURA)[-1].presence == "pause"


async def test_an_agent_after_the_last_chunk_cuts_nothing_off(tmp_path: Path) -> None:
    """An answer that was said whole is not told to the model as cut."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("uno"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await held.reached.wait()
        await stage.gateway.agent_says(LAURA, "Yo sigo")
        await stage.calls_read()
        held.release()
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert outcomes(stage) == ["answered"]
        assert not any("took over" in str(item["content"]) for item in thread(stage))


async def test_the_pause_slides_with_each_word_of_the_agent(tmp_path: Path) -> None:
    """The pause counts from the agent's last message, and a fraction of a minute is a pause."""
    async with open_scene(tmp_path, takeover={"pause_minutes": 0.5}) as stage:
        until = []
        for text in ("Hola", "¿en qué ayudo?", "cuéntame"):
            await stage.gateway.agent_says(LAURA, text)
            rows = select(stage.settings.data_dir, "chats", "paused_until, last_activity_at")
            until.append(rows[0][0])
            assert rows[0][0] - rows[0][1] == pytest.approx(30, abs=0.01)
        assert until[0] < until[1] < until[2]


async def test_words_during_the_pause_reach_the_model_when_it_is_over(tmp_path: Path) -> None:
    """In the order they were written, the customer's as the user's, the agent's as the bot's."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        (first,) = await stage.gateway.wait_sent(LAURA)
        await stage.gateway.agent_says(LAURA, "Te escribo yo")
        await stage.gateway.customer_says(LAURA, "¿Cuánto vale?")
        await stage.gateway.agent_says(LAURA, "Cien mil")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        known = await answered_after_pause(stage, "Listo")
        conversation = [text for text in known if not text.startswith("Fecha")]
        assert conversation == [
            "Hola",
            first.text,
            NOTE,
            "Te escribo yo",
            "¿Cuánto vale?",
            NOTE,
            "Cien mil",
            "Listo",
        ]
        assert len(stage.received()) == 2


async def test_two_messages_of_an_agent_are_one_pair(tmp_path: Path) -> None:
    """Written within five seconds of each other (here less), they are gathered."""
    async with open_scene(tmp_path, started=False) as stage:
        stage.rules = {**QUICK_RULES, "agent_seconds": 5.0}
        await stage.start()
        await stage.gateway.agent_says(LAURA, "Buenas tardes")
        await stage.gateway.agent_says(LAURA, "ya le confirmo")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert thread(stage) == [
            {"role": "user", "content": NOTE},
            {"role": "assistant", "content": "Buenas tardes\nya le confirmo"},
        ]
        (line,) = stage.events("MANUAL_SYNC_SUCCESS")
        assert line["messages"] == 2


async def test_an_agent_starts_the_thread_of_a_new_chat(tmp_path: Path) -> None:
    """Whoever is written to first is known to the model when they answer, after the pause."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.agent_says(LAURA, "Le guardamos la habitación")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        known = await answered_after_pause(stage, "¿Cuál?")
        assert known[:2] == [NOTE, "Le guardamos la habitación"]
        roles = [item["role"] for item in stage.model.calls[0].items[:2]]
        assert roles == ["user", "assistant"]


async def test_an_agent_does_not_rename_the_customer(tmp_path: Path) -> None:
    """The name on an agent's message is the business's own."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Hola", name="Laura")
        await stage.gateway.wait_sent(LAURA)
        await stage.gateway.agent_says(LAURA, "Soy Ana")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        ((name, contact),) = select(stage.settings.data_dir, "chats", "name, contact_name")
        assert contact == "Laura"
        assert name != OWN_NAME
        known = await answered_after_pause(stage)
        assert any(text.startswith("Fecha") and "Laura" in text for text in known)


async def test_with_a_pause_of_zero_the_bot_answers_beside_the_agent(tmp_path: Path) -> None:
    """It never falls silent, and still knows what the agent said."""
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.agent_says(LAURA, "Un momento")
        await stage.gateway.wait_sent(LAURA)
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert outcomes(stage) == ["answered"]
        assert {"role": "assistant", "content": "Un momento"} in thread(stage)


async def test_with_a_pause_of_zero_an_agent_does_not_close_the_window(tmp_path: Path) -> None:
    """The customer is still writing when the agent's words are complete: the burst stays one."""
    async with open_scene(tmp_path, takeover={"pause_minutes": 0}, buffer=closes_with(2)) as stage:
        await stage.gateway.agent_says(LAURA, "Un momento")
        await stage.gateway.customer_says(LAURA, "Hola")
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.gateway.customer_says(LAURA, "¿hay cupo?")
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert [call.customer_texts for call in stage.model.calls] == [["Hola\n¿hay cupo?"]]


async def test_a_pause_outlives_a_restart(tmp_path: Path) -> None:
    """An agent wrote, the daemon crashed: the bot still leaves the chat to the agent."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "¿Hay cupo?")
        await stage.gateway.agent_says(LAURA, "Sí hay")
        await stage.crash()
        await stage.start()
        later = await stage.gateway.customer_says(LAURA, "Gracias")
        await found(lambda: states_of(stage.settings.data_dir)[later][0] == WITH_AGENT)
        await stage.quiet()
        assert (stage.received(), stage.model.calls) == ([], [])
        assert {state for state, _ in states_of(stage.settings.data_dir).values()} == {
            "handed_off",
            WITH_AGENT,
        }
        words = [item["content"] for item in thread(stage)]
        assert words[words.index(NOTE) + 1] == "Sí hay"


@pytest.mark.parametrize("mode", ["before", "delayed", "missing", "other_id"])
async def test_our_own_echo_is_never_an_agent(tmp_path: Path, mode: EchoMode) -> None:
    """However the echo of a send comes, or if it never does, the bot goes on with its chunks."""
    async with open_scene(tmp_path) as stage:
        stage.gateway.echoes.mode = mode
        stage.model.script(say("uno\n\ndos"))
        await stage.gateway.customer_says(LAURA, "Hola")
        await stage.gateway.wait_sent(LAURA, 2)
        stage.gateway.echoes.release()
        await stage.gateway.customer_says(LAURA, "¿Y mañana?", deliver="acknowledged")
        await stage.gateway.wait_sent(LAURA, 3)
        await stage.quiet()
        assert stage.received()[:2] == ["uno", "dos"]
        assert len(stage.received()) == 3
        assert stage.events("an agent writes") == []


async def test_automatic_messages_of_our_number_are_not_agents(tmp_path: Path) -> None:
    """A greeting of WhatsApp Business, or another program on the API, does not silence the bot."""
    async with open_scene(tmp_path) as stage:
        await stage.gateway.customer_says(LAURA, "Hola")
        for source in ("api", "business_api", "system"):
            await stage.gateway.agent_says(LAURA, "Gracias por escribirnos", source=source)
        await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert outcomes(stage) == ["answered"]
        assert stage.events("an agent writes") == []


async def test_reactions_edits_and_deletes_by_us_are_not_words(tmp_path: Path) -> None:
    """The agent only put a thumb on a message: the bot still answers."""
    async with open_scene(tmp_path) as stage:
        asked = await stage.gateway.customer_says(LAURA, "Hola")
        for action in (
            {"type": "reaction", "target": asked, "emoji": "👍"},
            {"type": "edit", "target": "another", "edited_content": {"body": "otra"}},
            {"type": "delete", "target": "another"},
        ):
            mine = own_message(
                {"type": "action", "action": action},
                message_id=new_id(stage.environment.random),
                chat=chat_id_of(LAURA),
                at=stage.environment.now(),
                source="mobile",
            )
            await stage.gateway.announce([mine])
        await stage.gateway.wait_sent(LAURA)
        assert stage.events("an agent writes") == []


async def test_an_agent_who_repeats_the_bots_words_is_still_an_agent(
    tmp_path: Path,
) -> None:
    """The same words typed on the phone while ours are under way are a takeover, not an echo."""
    async with open_scene(tmp_path) as stage:
        stage.model.script(say("Con gusto\n\n¿Para cuándo?"))
        held = stage.gateway.faults.add(operation="send", kind="hold_answer")
        await stage.gateway.customer_says(LAURA, "Hola")
        await held.reached.wait()
        mine = own_message(
            text_content("Con gusto"),
            message_id=new_id(stage.environment.random),
            chat=chat_id_of(LAURA),
            at=stage.environment.now(),
            source="mobile",
        )
        await stage.gateway.announce([mine])
        await stage.calls_read()
        held.release()
        await logged(stage, "MANUAL_SYNC_SUCCESS")
        await stage.quiet()
        assert stage.received() == ["Con gusto"]
        assert outcomes(stage) == ["handed_off"]
