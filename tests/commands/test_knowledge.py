"""`recado knowledge` on a store beside a daemon, and what `recado check` says of documents."""

import csv
import errno
import io
import json
import os
from pathlib import Path
from typing import Any

import docx
import pytest
import trio
from click.testing import CliRunner, Result
from support.model_script import call, say
from support.place import VARIABLE, variables_of_store
from support.rows import count
from support.scenes import found, open_scene
from support.stage import LAURA, Stage

from daemon.__main__ import main

SHOP = "<html><body><h1>Shipping</h1><p>We ship within three days.</p></body></html>"
TARIFFS = "habitación;precio\nSencilla;180000\nDoble;240000\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents of each kind but PDF, and one that cannot be read."""
    folder = tmp_path / "documents"
    (folder / "shop").mkdir(parents=True)
    (folder / "shop" / "shipping.html").write_text(SHOP)
    (folder / "tarifas.csv").write_text(TARIFFS, "utf-8")
    (folder / "old.txt").write_bytes("El año pasado cerramos en enero.".encode("cp1252"))
    word = docx.Document()
    word.add_heading("Mascotas", 1)
    word.add_paragraph("Se admiten perros de hasta diez kilos.")
    word.save(str(folder / "reglas.docx"))
    (folder / "broken.docx").write_bytes(b"no zip")
    (folder / "fotos.zip").write_bytes(b"no document")
    return folder


def run(data_dir: Path, folder: Path, *arguments: str) -> Result:
    environment: dict[str, str | None] = {
        VARIABLE: None,
        "RECADO_DATA_DIR": str(data_dir),
        "RECADO_KNOWLEDGE__FOLDER": str(folder),
        **variables_of_store(data_dir),
    }
    return CliRunner().invoke(main, arguments, env=environment)


async def beside(stage: Stage, folder: Path, *arguments: str) -> Result:
    """Run one command in a thread, beside the daemon."""
    return await trio.to_thread.run_sync(
        lambda: run(stage.settings.data_dir, folder, "knowledge", *arguments)
    )


async def test_documents_are_read_listed_and_searched(tmp_path: Path, folder: Path) -> None:
    async with open_scene(tmp_path) as stage:  # one without documents: the command reads them
        read = await beside(stage, folder, "sync")
        assert read.exit_code == 1, read.output
        assert "read: shop/shipping.html" in read.stdout
        assert "cannot be read: broken.docx: " in read.stderr
        again = await beside(stage, folder, "sync")
        assert (again.exit_code, again.stdout) == (1, "nothing has changed\n")
        assert "cannot be read: broken.docx: " in again.stderr
        listed = json.loads((await beside(stage, folder, "list", "--json")).stdout)
        shown = {one["path"]: (one["title"], one["passages"]) for one in listed}
        assert shown == {
            "broken.docx": ("", 0),
            "old.txt": ("old", 1),
            "reglas.docx": ("Mascotas", 1),
            "shop/shipping.html": ("Shipping", 1),
            "tarifas.csv": ("tarifas", 1),
        }
        for question, path, words in (
            ("¿Admiten un perro?", "reglas.docx", "diez kilos"),
            ("how is it shipped?", "shop/shipping.html", "three days"),
            ("precio de la doble", "tarifas.csv", "habitación: Doble; precio: 240000"),
            ("enero", "old.txt", "El año pasado"),
        ):
            (one,) = json.loads((await beside(stage, folder, "search", question, "--json")).stdout)
            assert one["file"] == path
            assert words in one["text"]
        nothing = await beside(stage, folder, "search", "gimnasio")
        assert (nothing.exit_code, nothing.stdout) == (1, "")
        (folder / "old.txt").unlink()
        assert (await beside(stage, folder, "sync")).stdout == "gone: old.txt\n"
        assert (await beside(stage, folder, "search", "enero")).exit_code == 1


async def test_labelled_questions_are_counted(tmp_path: Path, folder: Path) -> None:
    cases = tmp_path / "cases.toml"
    cases.write_text(
        '[[question]]\nask = "¿Admiten perros?"\nfile = "reglas.docx"\nsection = "mascotas"\n'
        '[[question]]\nask = "¿Cuándo despachan?"\nfile = "shop/shipping.html"\n'
        '[[question]]\nask = "¿Tienen gimnasio?"\n'
    )
    async with open_scene(tmp_path) as stage:
        await beside(stage, folder, "sync")
        shown = await beside(stage, folder, "test", str(cases))
        assert shown.exit_code == 0
        assert shown.stdout.splitlines() == [
            "missed: ¿Cuándo despachan?",
            "recall@5: 0.500 (1 of 2)",
            "without an answer: 1 of 1 recognised",
        ]
        assert (await beside(stage, folder, "test", str(cases), "--at-least", "0.9")).exit_code == 1
        cases.write_text("nothing")
        assert (await beside(stage, folder, "test", str(cases))).exit_code == 2


async def test_questions_without_an_answer_are_exported_and_forgotten(
    tmp_path: Path, folder: Path
) -> None:
    async with open_scene(tmp_path, knowledge={"folder": folder}) as stage:
        for text in ("¿Hay sauna?", "¿hay un sauna?"):
            stage.model.script(
                call("search_knowledge", json.dumps({"question": text})), say("No tengo ese dato.")
            )
            before = len(stage.received())
            await stage.gateway.customer_says(LAURA, text, name="Laura")
            await stage.gateway.wait_sent(LAURA, before + 1)
            await stage.quiet()
        shown = await beside(stage, folder, "questions")
        assert shown.stdout.splitlines()[0].split(maxsplit=1) == ["2", "¿hay un sauna?"]
        table = list(
            csv.reader(io.StringIO((await beside(stage, folder, "questions", "--csv")).stdout))
        )
        assert [row[:2] for row in table] == [["count", "question"], ["2", "¿hay un sauna?"]]
        assert table[1][4] == "¿Hay sauna?"
        data_dir = stage.settings.data_dir
        exported = await trio.to_thread.run_sync(lambda: run(data_dir, folder, "export", LAURA))
        assert [one["question"] for one in json.loads(exported.stdout)["questions"]] == [
            "¿Hay sauna?",
            "¿hay un sauna?",
        ]
        await trio.to_thread.run_sync(lambda: run(data_dir, folder, "forget", LAURA, "--yes"))
        await found(lambda: count(data_dir, "knowledge_questions") == 0)


def test_without_documents_the_command_reports_that(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["knowledge", "list"], env={"RECADO_DATA_DIR": str(tmp_path), VARIABLE: None}
    )
    assert result.exit_code == 2
    assert "knowledge.folder is not set" in result.stderr


def test_check_names_documents_that_cannot_be_read(tmp_path: Path, folder: Path) -> None:
    said = run(tmp_path / "data", folder, "check").stdout
    assert "warning: knowledge.folder: broken.docx: " in said
    assert "warning: knowledge.folder: fotos.zip: files of this type are not read" in said
    assert f"ok: knowledge.folder: {folder}, 4 documents" in said
    gone = run(tmp_path / "data", tmp_path / "gone", "check").stdout
    assert f"error: knowledge.folder: {tmp_path / 'gone'}: No such file or directory" in gone


async def test_a_folder_that_may_not_be_opened_keeps_none_of_the_others_back(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As lost+found, at the root of a disk."""
    (folder / "lost+found").mkdir()
    refuse(monkeypatch, folder / "lost+found", PermissionError(errno.EACCES, "Permission denied"))
    async with open_scene(tmp_path) as stage:
        assert (await beside(stage, folder, "sync")).exit_code == 1, "broken.docx"
        assert "documents: 5" in (await beside(stage, folder, "list")).stdout
    done = await trio.to_thread.run_sync(run, tmp_path / "data", folder, "check")
    said = done.stdout
    assert "warning: knowledge.folder: lost+found: this folder may not be opened" in said
    assert f"ok: knowledge.folder: {folder}, 4 documents" in said


async def test_a_folder_in_trouble_says_nothing_about_what_is_gone(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bar").mkdir()
    (folder / "bar" / "carta.md").write_text("El café vale 5.000 pesos.")
    async with open_scene(tmp_path) as stage:
        await beside(stage, folder, "sync")
        refuse(monkeypatch, folder / "bar", OSError(errno.EIO, "Input/output error"))
        assert (await beside(stage, folder, "sync")).exit_code == 2, "it cannot be read now"
        assert "bar/carta.md" in (await beside(stage, folder, "list")).stdout


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, error: OSError) -> None:
    """Let a folder not be listed."""
    look = os.scandir

    def scandir(path: Any) -> Any:
        if path == str(folder):
            error.filename = str(path)
            raise error
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
