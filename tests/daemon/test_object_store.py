"""The whole daemon with its files in an object store: outages, forgetting, another node's files."""

import base64
from pathlib import Path

import httpx
import pytest
import trio
from click.testing import CliRunner, Result
from support import object_store
from support.model_script import say
from support.operator import recado
from support.plain import NO_TLS
from support.rows import select
from support.scenes import forgive, found, open_scene, outbox
from support.stage import LAURA, Stage, text_webhook

from daemon.__main__ import main
from daemon.files.s3 import S3Files
from daemon.sandbox import samples


@pytest.fixture(autouse=True)
def _in_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(object_store.VARIABLE, "s3")


class Outage:
    """The object store does not answer while it lasts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.lasts = False
        self.hits = 0
        for name in ("_put", "_get", "_delete"):
            self._wrap(name)

    def _wrap(self, name: str) -> None:
        call = getattr(S3Files, name)

        def tried(files: S3Files, *arguments: object) -> object:
            if self.lasts:
                self.hits += 1
                raise object_store.no_connection()
            return call(files, *arguments)

        self._monkeypatch.setattr(S3Files, name, tried)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    return Outage(monkeypatch)


def kept(stage: Stage, folder: str = "media") -> list[Path]:
    return object_store.kept_files(stage.settings.data_dir, folder)


async def test_a_file_that_cannot_be_kept_now_comes_when_it_can(
    tmp_path: Path, outage: Outage
) -> None:
    async with open_scene(tmp_path) as stage:
        outage.lasts = True
        await stage.gateway.contact(LAURA).send_image()
        await stage.gateway.wait_sent(LAURA)
        assert outage.hits
        assert kept(stage) == []
        ((state, reason),) = select(stage.settings.data_dir, "media", "state, reason")
        assert (state, reason) == ("wanted", "the file store: EndpointConnectionError")
        forgive(stage)


async def test_a_call_whose_file_cannot_be_kept_is_not_accepted(
    tmp_path: Path, outage: Outage
) -> None:
    picture = base64.b64encode(samples.first_of("image").data).decode()
    call = text_webhook("", "m-1")
    del call["messages"][0]["text"]
    call["messages"][0] |= {"type": "image", "image": {"link": f"data:image/jpeg;base64,{picture}"}}
    async with open_scene(tmp_path) as stage:
        outage.lasts = True
        assert (await stage.post(call)).status_code == 503
        assert select(stage.settings.data_dir, "messages", "id") == []
        outage.lasts = False
        assert (await stage.post(call)).status_code == 200
        await stage.gateway.wait_sent(LAURA)
        assert len(kept(stage)) == 1
        forgive(stage)


async def test_a_document_waits_for_the_store_and_is_sent(tmp_path: Path, outage: Outage) -> None:
    async with open_scene(tmp_path, rules={"retry_seconds": 0.05}) as stage:
        stage.model.script(say("a" * 70_000))
        held = stage.gateway.faults.add(operation="send", kind="hold")
        await stage.gateway.customer_says(LAURA, "Cuéntame todo")
        await held.reached.wait()
        await stage.crash()
        (document,) = kept(stage, "audio")
        document.unlink(missing_ok=True)  # as on another node
        outage.lasts = True
        await stage.start()
        await found(lambda: outage.hits > 1)
        assert [state for state, _ in outbox(stage)] == ["pending"]
        outage.lasts = False
        await stage.gateway.wait_sent(LAURA)
        await found(lambda: [state for state, _ in outbox(stage)] == ["sent"])
        forgive(stage)


async def test_forgetting_waits_until_the_objects_are_deleted(
    tmp_path: Path, outage: Outage
) -> None:
    async with open_scene(tmp_path, housekeeping={"sweep_seconds": 0.05}) as stage:
        await stage.gateway.contact(LAURA).send_image()
        await stage.quiet()
        data_dir = stage.settings.data_dir
        (picture,) = kept(stage)
        outage.lasts = True
        waits = await recado(data_dir, "forget", LAURA, "--yes", "--wait", "0")
        assert waits.exit_code == 1
        await found(lambda: outage.hits > 2)
        assert kept(stage) == [picture]
        assert not picture.exists()
        assert select(data_dir, "forgettings", "done_at") == [(None,)]
        outage.lasts = False
        await found(lambda: select(data_dir, "forgettings", "done_at") != [(None,)])
        assert kept(stage) == []
        forgive(stage)


@pytest.mark.sqlite  # on PostgreSQL a daemon carries it out
async def test_the_command_deletes_the_objects_where_no_daemon_runs(tmp_path: Path) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.contact(LAURA).send_image()
        await stage.quiet()
        data_dir = stage.settings.data_dir
        assert len(kept(stage)) == 1
        await stage.stop()
        config = tmp_path / "recado.toml"
        config.write_text(f'data_dir = "{data_dir}"\n{object_store.file_table(data_dir)}')
        arguments = ["forget", LAURA, "--yes", "--config", str(config)]
        done = await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, arguments))
        assert done.exit_code == 0, done.output
        assert kept(stage) == []
        assert select(data_dir, "deleted_files", "name") == []


async def test_the_check_tries_the_store_and_prints_no_secret(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    config = tmp_path / "recado.toml"

    def checked(table: str) -> Result:
        config.write_text(f'data_dir = "{data_dir}"\n{table}')
        return CliRunner().invoke(main, ["check", "--online", "--config", str(config)])

    table = object_store.file_table(data_dir)
    good = await trio.to_thread.run_sync(checked, table)
    assert "files.url: a file was written, read and deleted" in good.output
    assert kept_anywhere(data_dir) == []
    bad = await trio.to_thread.run_sync(checked, table.replace("s3://recado-tests", "s3://no-such"))
    assert "files.url: the file store answered NoSuchBucket" in bad.output
    assert object_store.KEY not in good.output + bad.output
    wrong = await trio.to_thread.run_sync(checked, '[files]\nurl = "https://x"\n')
    assert "files.url: must be an address s3://" in wrong.output


def kept_anywhere(data_dir: Path) -> list[Path]:
    return object_store.kept_files(data_dir, "")


async def test_pages_and_players_get_files_that_another_node_has_stored(
    tmp_path: Path, outage: Outage
) -> None:
    async with open_scene(tmp_path) as stage:
        await stage.gateway.contact(LAURA).send_image()
        await stage.quiet()
        (picture,) = kept(stage)
        whole = picture.read_bytes()
        picture.unlink()
        voice = stage.settings.data_dir / "audio" / "voice_1_2.mp3"
        object_store.plant(voice, b"ID3 of another node")
        async with httpx.AsyncClient(verify=NO_TLS, base_url=stage.url, timeout=30) as client:
            heard = await client.get("/audio/voice_1_2.mp3")
            assert (heard.status_code, heard.content) == (200, b"ID3 of another node")
            assert (await client.get("/audio/voice_1_3.mp3")).status_code == 404
            shown = await client.get(f"/dashboard/media/{picture.name}")
            assert (shown.status_code, shown.content) == (200, whole)
            outage.lasts = True
            assert (await client.get("/audio/voice_1_4.mp3")).status_code == 503
            assert (await client.get("/dashboard/media/other.png")).status_code == 503
            assert (await client.get("/audio/voice_1_2.mp3")).status_code == 200
