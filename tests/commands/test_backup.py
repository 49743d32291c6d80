"""`recado backup`: a sound copy of a store that is being written to."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from support.operator import names_in, recado
from support.place import store_in
from support.rows import count, insert
from support.stage import LAURA, Stage, text_webhook

pytestmark = pytest.mark.sqlite


async def test_a_copy_made_under_traffic_is_complete_and_opens_as_a_store(
    stage: Stage, tmp_path: Path
) -> None:
    data_dir = stage.settings.data_dir
    target = tmp_path / "copies" / "recado.db"
    target.parent.mkdir()
    stored, enough = 0, trio.Event()
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            nonlocal stored
            while not enough.is_set():
                # A group's messages are stored and not answered.
                body = text_webhook("Hola", f"group-{stored}", chat_id="573-1@g.us")
                assert (await stage.post(body)).status_code == 200
                stored += 1

        nursery.start_soon(write, name="traffic")
        await stage.post(text_webhook("Hola", "laura-0001"))
        before = stored
        done = await recado(data_dir, "backup", str(target))
        after = stored
        enough.set()
    assert done.exit_code == 0, done.stderr
    assert "sound" in done.stdout
    assert target.stat().st_mode & 0o777 == 0o600
    assert names_in(target.parent) == ["recado.db", "recado.db.key"]
    key = target.with_name("recado.db.key")
    assert key.read_bytes() == (data_dir / "contact.key").read_bytes()
    assert key.stat().st_mode & 0o777 == 0o600
    copied = count(target.parent, "messages", where={"id LIKE": "group-%"})
    assert before <= copied <= after + 1
    async with store_in(target.parent) as store:
        assert await store.inbox.oldest_unanswered() is not None
        # The process that ran while it was copied has not crashed.
        assert (await store.process_history.begin(now=1.0)).last_end is None


async def test_nothing_is_overwritten_unless_asked_for(stage: Stage, tmp_path: Path) -> None:
    data_dir = stage.settings.data_dir
    target = tmp_path / "copy.db"
    target.write_text("something dear")
    done = await recado(data_dir, "backup", str(target))
    assert done.exit_code == 2
    assert "--force" in done.stderr
    assert target.read_text() == "something dear"
    assert (await recado(data_dir, "backup", str(target), "--force")).exit_code == 0
    assert target.read_bytes().startswith(b"SQLite format 3\0")
    store = str(data_dir / "recado.db")
    assert (await recado(data_dir, "backup", store, "--force")).exit_code == 2


async def test_large_events_are_copied_on_request_and_never_left_out_silently(
    stage: Stage, tmp_path: Path
) -> None:
    data_dir = stage.settings.data_dir
    body = text_webhook("Hola", "laura-0001", padding="x" * 100_000)
    await stage.post(body)
    plain = await recado(data_dir, "backup", str(tmp_path / "plain.db"))
    assert "not included: 1 large events" in plain.stderr
    assert not (tmp_path / "plain.db.events").exists()
    full = await recado(data_dir, "backup", str(tmp_path / "full.db"), "--with-files")
    assert full.exit_code == 0
    (copied,) = (tmp_path / "full.db.events").iterdir()
    assert json.loads(copied.read_bytes()) == body
    assert copied.stat().st_mode & 0o777 == 0o600
    (data_dir / "events" / copied.name).unlink()
    less = await recado(data_dir, "backup", str(tmp_path / "full.db"), "--with-files", "--force")
    assert less.exit_code == 1
    assert "1 large events could not be found" in less.stderr


async def test_files_that_went_out_are_copied_on_request(stage: Stage, tmp_path: Path) -> None:
    """What was sent may be gone; what is still to be sent is missed."""
    await stage.stop()
    data_dir = stage.settings.data_dir
    audio = data_dir / "audio"
    audio.mkdir()
    for name, state in (("voice_1_2.ogg", "sent"), ("menu.pdf", "pending"), ("old.ogg", "sent")):
        if name != "old.ogg":
            (audio / name).write_bytes(name.encode())
        row = {"channel": "c", "chat": "x@s.whatsapp.net", "body": "", "created_at": 1}
        row |= {"state": state, "kind": "document", "payload": json.dumps({"file": name})}
        insert(data_dir, "outbox", row)
    (audio / "of-nobody.ogg").write_bytes(b"x")
    plain = await recado(data_dir, "backup", str(tmp_path / "plain.db"))
    assert "not included: 1 files to be sent" in plain.stderr
    target = str(tmp_path / "full.db")
    full = await recado(data_dir, "backup", target, "--with-files")
    assert full.exit_code == 0, full.stderr
    folder = tmp_path / "full.db.audio"
    assert names_in(folder) == ["menu.pdf", "voice_1_2.ogg"]
    assert (folder / "menu.pdf").read_bytes() == b"menu.pdf"
    assert folder.stat().st_mode & 0o777 == 0o700
    (audio / "menu.pdf").unlink()
    less = await recado(data_dir, "backup", target, "--with-files", "--force", "--json")
    assert (less.exit_code, json.loads(less.stdout)["sent_files_copied"]) == (1, 1)
    assert "1 files to be sent could not be found" in less.stderr
    assert names_in(folder) == ["voice_1_2.ogg"]
    secret = tmp_path / "secret"
    secret.write_bytes(b"of root")
    secret.chmod(0o644)
    (audio / "menu.pdf").symlink_to(secret)
    led = await recado(data_dir, "backup", target, "--with-files", "--force")
    assert led.exit_code == 1
    assert names_in(folder) == ["voice_1_2.ogg"]
    assert secret.stat().st_mode & 0o777 == 0o644


async def test_a_damaged_store_gives_no_copy(stage: Stage, tmp_path: Path) -> None:
    await stage.stop()
    data_dir = stage.settings.data_dir
    with closing(sqlite3.connect(data_dir / "recado.db")) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_schema SET rootpage ="
            " (SELECT rootpage FROM sqlite_schema WHERE name = 'chats')"
            " WHERE name = 'stages_by_age'"
        )
        connection.commit()
    target = tmp_path / "copies" / "copy.db"
    target.parent.mkdir()
    done = await recado(data_dir, "backup", str(target))
    assert done.exit_code == 2
    assert "the copy is not sound" in done.stderr
    assert names_in(target.parent) == []


async def test_a_missing_folder_is_reported(stage: Stage, tmp_path: Path) -> None:
    done = await recado(stage.settings.data_dir, "backup", str(tmp_path / "none" / "copy.db"))
    assert done.exit_code == 2
    assert "cannot write" in done.stderr
    assert LAURA not in done.stderr
