"""kill -9 at chosen moments: what was acknowledged is answered, and nothing is said twice."""

import signal

import pytest
import trio
from support.model_script import Step, say
from support.process import Site, until
from support.rows import states
from support.stage import LAURA


async def all_answered(site: Site) -> None:
    """Wait until every message of the store has been answered."""
    await until(lambda: states(site.data_dir) == {"answered"})


async def test_killed_in_the_window(site: Site) -> None:
    process = await site.start(RECADO_BUFFER__WINDOW_SECONDS="30")
    await site.gateway.customer_says(LAURA, "Hola", deliver="acknowledged")
    await site.gateway.customer_says(LAURA, "¿hay cupo?", deliver="acknowledged")
    status, _ = await process.end(signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert states(site.data_dir) == {"received"}
    await site.start()
    await site.gateway.wait_sent(LAURA)
    await all_answered(site)
    assert [call.customer_texts for call in site.model.calls] == [["Hola\n¿hay cupo?"]]


@pytest.mark.parametrize("background", ["true", "false"])
async def test_killed_in_the_run(site: Site, background: str) -> None:
    """Where the server keeps responses the answer is fetched; elsewhere it is asked for again."""
    thought = trio.Event()
    site.model.script(say("Uno.", gate=thought, gate_at=3), say("Uno."))
    variables = {"RECADO_ASSISTANT__BACKGROUND": background}
    process = await site.start(**variables)
    await site.gateway.customer_says(LAURA, "Hola", deliver="acknowledged")
    await site.model.wait_for(lambda: site.model.running == 1)
    await process.end(signal.SIGKILL)
    await site.start(**variables)
    thought.set()
    await site.gateway.wait_sent(LAURA)
    await all_answered(site)
    assert site.received(LAURA) == ["Uno."]


@pytest.mark.parametrize("kind", ["hold", "hold_answer"])
async def test_killed_between_two_chunks(site: Site, kind: str) -> None:
    """The second send is under way: it has not reached the customer, or nobody knows that it has.

    The next process looks into the chat before it says anything again.
    """
    chunks = [
        f"{word}. {'Es un párrafo. ' * 20}".strip() for word in ("Primero", "Segundo", "Otro")
    ]
    site.model.script(say("\n\n".join(chunks)))
    site.gateway.echoes.mode = "missing"
    site.gateway.faults.add(operation="send", kind="hold").release()
    second = site.gateway.faults.add(
        operation="send", kind="hold" if kind == "hold" else "hold_answer"
    )
    process = await site.start()
    await site.gateway.customer_says(LAURA, "cuéntame", deliver="acknowledged")
    await second.reached.wait()
    await process.end(signal.SIGKILL)
    site.gateway.reset_faults()
    await site.start()
    await site.gateway.wait_sent(LAURA, 3)
    await all_answered(site)
    assert site.received(LAURA) == chunks
    assert len(site.model.calls) == 1


async def test_killed_again_and_again(site: Site) -> None:
    """A process that dies in each of its starts loses nothing; the last one answers."""
    thought = trio.Event()
    site.model.script(Step(gate=thought))
    process = await site.start()
    message_id = await site.gateway.customer_says(LAURA, "Hola", deliver="acknowledged")
    await site.model.wait_for(lambda: site.model.running == 1)
    for _ in range(2):
        await process.end(signal.SIGKILL)
        process = await site.start()
    await site.gateway.redeliver(message_id, deliver="acknowledged")
    thought.set()
    await site.gateway.wait_sent(LAURA)
    await all_answered(site)
    assert len(site.received(LAURA)) == 1


@pytest.mark.parametrize("kind", ["hold", "hold_answer"])
async def test_killed_in_the_send_of_a_voice_note(site: Site, kind: str) -> None:
    """One voice note arrives, spoken once, and its words are never written beside it."""
    site.model.script(say("Con mucho gusto, la esperamos."))
    site.gateway.echoes.mode = "missing"
    held = site.gateway.faults.add(
        operation="send", kind="hold" if kind == "hold" else "hold_answer"
    )
    variables = {"RECADO_VOICE__SPEECH_MODEL": "voz", "RECADO_BUFFER__VOICE_SECONDS": "0.2"}
    process = await site.start(**variables)
    note = {"type": "voice", "voice": {"id": "oga-0a1b-0c2d", "mime_type": "audio/ogg"}}
    await site.gateway.customer_sends(LAURA, note, deliver="acknowledged")
    await held.reached.wait()
    await process.end(signal.SIGKILL)
    site.gateway.reset_faults()
    await site.start(**variables)
    await site.gateway.wait_sent(LAURA)
    await all_answered(site)
    assert [sent.kind for sent in site.gateway.sent(LAURA)] == ["voice"]
    assert sum(path.endswith("/audio/speech") for _, path in site.model.hits) == 1
