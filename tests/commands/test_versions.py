"""`recado versions`: what answers were made with, and what came of it."""

import json
from io import StringIO
from pathlib import Path

from support.operator import recado
from support.rows import select
from support.stage import LAURA, Stage, new_world, open_stage

from daemon.conversation.config_loader import load_chat_configs
from daemon.domain.versions import Version
from daemon.settings import Settings
from daemon.settings.numbers import ONLY


async def _answered(stage: Stage, words: str, count: int) -> None:
    await stage.gateway.customer_says(LAURA, words)
    await stage.gateway.wait_sent(LAURA, count)
    await stage.quiet()


async def test_each_turn_says_what_it_was_answered_with(stage: Stage) -> None:
    data_dir, instructions = stage.settings.data_dir, stage.settings.assistant.instructions_file
    await _answered(stage, "Hola", 1)
    await _answered(stage, "¿Hay algo?", 2)
    instructions.write_text("You answer for a large hotel.")
    stage.environment.reload.ring()
    while not stage.events("configuration read again"):
        await stage.quiet()
    await _answered(stage, "Gracias", 3)
    ids = [row[0] for row in select(data_dir, "turns", "version_id", order="id")]
    assert ids == [1, 1, 2]
    listed = json.loads((await recado(data_dir, "versions", "--json")).stdout)
    assert [one["turns"] for one in listed] == [1, 2]
    assert [one["answered"] for one in listed] == [1, 2]
    assert [one["changed"] for one in listed] == [["instructions"], []]
    shown = await recado(data_dir, "versions")
    assert "changed: instructions" in shown.stdout.splitlines()[0]


async def test_a_version_is_shown_with_its_instructions(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "data") as stage:
        data_dir = stage.settings.data_dir
        await _answered(stage, "Hola", 1)
        ((digest,),) = select(data_dir, "versions", "digest")
        # `show` is a command of its own, whose options follow it.
        with_store = ("--data-dir", str(data_dir))
        done = await recado(data_dir, "versions", "show", digest[:8], *with_store)
        assert done.exit_code == 0, done.output
        assert "You answer for a small hotel." in done.stdout
        assert digest in done.stdout
        unknown = await recado(data_dir, "versions", "show", "zzz", *with_store)
        assert unknown.exit_code == 2
        assert "no version is called zzz" in unknown.stderr
        ((message_id,),) = select(data_dir, "messages", "id", where={"from_me": 0})
        explained = await recado(data_dir, "explain", message_id)
        assert f"version {digest[:8]} (gpt-6-luna)" in explained.stdout


async def test_a_chat_handed_to_a_person_counts_as_that(stage: Stage) -> None:
    data_dir = stage.settings.data_dir
    await _answered(stage, "Quiero hablar con un asesor", 1)
    (listed,) = json.loads((await recado(data_dir, "versions", "--json")).stdout)
    assert (listed["answered"], listed["handed_over"]) == (0, 1)


async def test_other_documents_are_another_version(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "pool.md").write_text("# Pool\n\nThe pool opens at eight.")
    knowledge = {"folder": folder, "check_seconds": 0.05}
    async with open_stage(tmp_path / "data", knowledge=knowledge) as stage:
        while not stage.events("documents in step"):
            await stage.quiet()
        await _answered(stage, "Hola", 1)
        (folder / "pool.md").write_text("# Pool\n\nThe pool opens at nine.")
        while len(stage.events("documents in step")) < 2:
            await stage.quiet()
        await _answered(stage, "Gracias", 2)
        listed = json.loads((await recado(stage.settings.data_dir, "versions", "--json")).stdout)
        assert [one["changed"] for one in listed] == [["knowledge"], []]
        # After a restart the documents are the same, and so is the version.
        await stage.stop()
        await stage.start()
        await _answered(stage, "Hola de nuevo", 3)
        listed = json.loads((await recado(stage.settings.data_dir, "versions", "--json")).stdout)
        assert [one["turns"] for one in listed] == [2, 1]


def test_the_port_of_a_model_server_is_no_part_of_a_version(tmp_path: Path) -> None:
    """That of the sandbox's simulated model is another one after each start."""

    def version(url: str) -> Version:
        settings = Settings(data_dir=tmp_path)
        assistant = settings.assistant.model_copy(update={"base_url": url})
        log = new_world(StringIO()).log
        configs = load_chat_configs(settings.model_copy(update={"assistant": assistant}), log)
        return configs[ONLY].version

    first = version("http://127.0.0.1:1/v1")
    assert version("http://127.0.0.1:65535/v1") == first
    assert version("http://127.0.0.2:1/v1") != first
    assert version("http://127.0.0.1:1/v2") != first
