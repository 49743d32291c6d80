"""Conversations that go on and on: within the budget, sound for the server, and summed up."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from support.brisk import open_brisk_stage
from support.ledgers import LAURA as KEY
from support.ledgers import accept, message, open_turn
from support.model_script import Step, call, say
from support.place import store_in
from support.rows import count, select
from support.scenes import (
    cancel_orphans_soon,
    forgive,
    found,
    model_input,
    open_scene,
    outcomes,
    words,
)
from support.stage import LAURA, Stage

from daemon.domain.messages import JsonObject
from daemon.domain.prompt.history_budget import (
    SUMMARY_INSTRUCTIONS,
    SUMMARY_NOTE,
    as_input,
    items_to_compact,
    shown,
    summary_item,
)
from daemon.domain.records import ChatUpdate
from daemon.domain.texts import texts
from daemon.ledger.ledger import Store
from daemon.sandbox.model_generation import ModelCall
from daemon.sandbox.model_wire import refusal_of, tokens_of

CONTEXT_TOOL = "get_conversation_context"


def _turn_items(number: int, rng: random.Random) -> list[JsonObject]:
    """What one turn puts into the thread: words, and now and then reasoning and calls of tools."""
    items: list[JsonObject] = []
    if rng.random() < 0.2:
        items.append({"role": "developer", "content": "Fecha: 02/03/2026 | Hora: 09:05"})
    items.append({"role": "user", "content": f"mensaje {number} " + "x" * rng.randrange(300)})
    for place in range(rng.choice([0, 0, 0, 1, 2])):
        call_id = f"c-{number}-{place}"
        reasoning = {"type": "reasoning", "summary": [], "encrypted_content": f"s-{call_id}"}
        arguments = '{"n": 1}'
        asked = {"type": "function_call", "call_id": call_id, "name": "a", "arguments": arguments}
        output = "y" * rng.randrange(400)
        answered = {"type": "function_call_output", "call_id": call_id, "output": output}
        items += [reasoning, asked, answered]
    items.append(
        {"role": "assistant", "content": f"respuesta {number} " + "z" * rng.randrange(300)}
    )
    return items


async def _live_through(store: Store, number: int, rng: random.Random) -> None:
    await accept(store, message(f"m-{number}"))
    turn = await open_turn(store)
    update = ChatUpdate(token_ratio=rng.uniform(0.5, 2))
    items = _turn_items(number, rng)
    await store.turns.conclude(turn, items=items, parts=[], chat_update=update, now=float(number))
    await store.turns.finish(turn, now=float(number))


@pytest.mark.parametrize("compaction", ["summary", "drop", "lost"])
async def test_500_turns_stay_within_the_budget_and_are_sound(
    tmp_path: Path, compaction: str
) -> None:
    """``lost``: no summary is ever made, as where the model fails each one."""
    rng, budget, most = random.Random(7), 2000, 0  # noqa: S311 - repeatable on purpose
    async with store_in(tmp_path) as store:
        for number in range(500):
            await _live_through(store, number, rng)
            memory = await store.memories.recall(KEY, tokens=2 * budget)
            past = shown(memory, budget=budget)
            tokens = memory.head.tokens + sum(entry.tokens for entry in past)
            assert tokens * memory.chat.token_ratio <= budget
            items = as_input(memory, past)
            asked = [*items, {"role": "user", "content": "?"}]
            assert refusal_of({"model": "m", "input": asked}, context_tokens=10**9) is None
            if number > 50:
                most = max(most, len(items))
                assert any(f"respuesta {number} " in str(item) for item in items)
            memory = await store.memories.recall(KEY, tokens=6 * budget)
            count = items_to_compact(memory, budget=budget)
            if count and compaction != "lost":
                summed = f"hasta {number}" if compaction == "summary" else ""
                head = summary_item(summed, budget=budget)
                last = memory.items[count - 1]
                assert await store.memories.shorten(KEY, last, head, now=float(number))
        assert most > 5
        head = (await store.memories.recall(KEY, tokens=budget)).head.item
        assert (head is not None) == (compaction == "summary")


def _sums(body: Mapping[str, Any]) -> bool:
    return str(body.get("instructions")).startswith(SUMMARY_INSTRUCTIONS)


def _is_summary(asked: ModelCall) -> bool:
    return _sums(asked.body)


def _sums_up(text: str) -> Step:
    return say(text, when=_sums)


async def exchange(stage: Stage, words: str) -> None:
    """One message, answered, and the chat at rest."""
    count = len(stage.received())
    await stage.gateway.customer_says(LAURA, words)
    await stage.gateway.wait_sent(LAURA, count + 1)
    await stage.quiet()


def _head(stage: Stage) -> list[tuple[int, str]]:
    """Where the shown part of the thread begins, and what is told in the place of the rest."""
    return [
        (up_to, item)
        for up_to, item in select(stage.settings.data_dir, "thread_heads", "up_to, item")
    ]


async def test_thirty_turns_with_a_small_budget_are_all_answered(tmp_path: Path) -> None:
    """The server refuses dangling calls and repeated ids; the oldest turns live on in a summary."""
    budget = 1200
    assistant = {"history_tokens": budget, "compaction": "auto"}
    async with open_brisk_stage(tmp_path / "data", assistant=assistant) as stage:
        stage.model.script(*(_sums_up(f"Resumen {n}") for n in range(30)))
        for number in range(30):
            if number % 4 == 0:
                stage.model.script(
                    call(
                        CONTEXT_TOOL,
                        '{"context_level": "recent_50"}',
                        when=lambda body: not _sums(body),
                    )
                )
            await exchange(stage, f"tema{number} " + "palabra " * 20)
        await found(lambda: _head(stage))
        await exchange(stage, "¿En qué quedamos?")
        assert [asked.outcome for asked in stage.model.calls].count("refused") == 0
        assert set(outcomes(stage)) == {"answered"}
        turns = [asked for asked in stage.model.calls if not _is_summary(asked)]
        assert any(_is_summary(asked) for asked in stage.model.calls)
        last_input = [words(item) for item in turns[-1].items]
        assert last_input[0].startswith(f"{SUMMARY_NOTE}\nResumen ")
        assert sum(text.startswith(SUMMARY_NOTE) for text in last_input) == 1
        assert not any("tema0 " in text for text in last_input)
        assert any("tema29 " in text for text in last_input)


async def test_a_summary_delays_no_answer_and_a_lost_one_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model never ends the first summary; the daemon is killed, and the next turn makes one.

    What the server keeps of the lost one is cancelled at the start.
    """
    assistant = {"history_tokens": 250, "compaction": "summary", "background": True}
    async with open_scene(tmp_path, assistant=assistant) as stage:
        stage.model.script(replace(_sums_up("Nunca."), gate=trio.Event()))
        for number in range(5):
            await exchange(stage, f"tema{number} " + "palabra " * 10)
        await stage.model.wait_for(lambda: any(map(_is_summary, stage.model.calls)))
        await exchange(stage, "¿Sigues ahí?")
        assert sum(map(_is_summary, stage.model.calls)) == 1
        assert not _head(stage)
        await stage.crash()
        cancel_orphans_soon(monkeypatch)
        stage.model.script(_sums_up("Habló de temas."))
        await stage.start()
        await exchange(stage, "¿Y ahora?")
        await found(lambda: _head(stage))
        lost = next(made for made in stage.model.calls if _is_summary(made))
        await lost.ended.wait()
        assert lost.outcome == "cancelled"
        await found(lambda: not count(stage.settings.data_dir, "kept_responses"))
        await exchange(stage, "Gracias")
        assert model_input(stage)[0] == f"{SUMMARY_NOTE}\nHabló de temas."


async def test_a_failed_summary_loses_only_the_summary(tmp_path: Path) -> None:
    assistant = {"history_tokens": 250, "compaction": "summary"}
    async with open_scene(tmp_path, assistant=assistant) as stage:
        step = _sums_up("x")
        stage.model.script(*(Step(when=step.when, status=400, message="no") for _ in range(20)))
        for number in range(6):
            await exchange(stage, f"tema{number} " + "palabra " * 10)
        await found(lambda: stage.events("no summary"))
        assert set(outcomes(stage)) == {"answered"}
        assert not _head(stage)
        turns = [asked for asked in stage.model.calls if not _is_summary(asked)]
        assert "tema0" not in str(turns[-1].items)


async def test_dropping_asks_the_model_nothing(tmp_path: Path) -> None:
    assistant = {"history_tokens": 250, "compaction": "drop"}
    async with open_scene(tmp_path, assistant=assistant) as stage:
        for number in range(6):
            await exchange(stage, f"tema{number} " + "palabra " * 10)
        ((_, item),) = await found(lambda: _head(stage))
        assert item == ""
        assert len(stage.model.calls) == 6


async def test_a_thread_too_long_for_the_model_is_shortened(tmp_path: Path) -> None:
    """Within the same attempt, so the customer notices nothing, and the thread is cut for good."""
    assistant = {"history_tokens": 8000, "compaction": "drop"}
    async with open_scene(tmp_path, assistant=assistant) as stage:
        for number in range(4):
            await exchange(stage, f"tema{number} " + "palabra " * 100)
        stage.model.context_tokens = tokens_of(stage.model.calls[-1].items)
        await exchange(stage, "tema4")
        refused, answered = stage.model.calls[-2:]
        assert (refused.outcome, answered.outcome) == ("refused", "finished")
        assert len(answered.items) < len(refused.items)
        assert "tema4" in model_input(stage)[-1]
        rows = select(stage.settings.data_dir, "turns", "attempts", order="id")
        assert rows[-1] == (1,)


async def test_a_message_that_cannot_be_shortened_fails(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        stage.model.context_tokens = 1
        await stage.gateway.customer_says(LAURA, "Hola")
        (sent,) = await stage.gateway.wait_sent(LAURA)
        await stage.quiet()
        assert sent.text == texts("es").apology
        assert outcomes(stage) == ["dead"]
        assert len(stage.model.calls) == 2
        forgive(stage)


async def test_the_servers_count_corrects_the_estimate(stage: Stage) -> None:
    """The simulated server counts four characters a token, our estimate three bytes."""
    await exchange(stage, "Hola, ¿tienen cupo? " + "palabra " * 50)
    ((ratio,),) = select(stage.settings.data_dir, "chats", "token_ratio")
    assert 0.5 <= ratio < 1
