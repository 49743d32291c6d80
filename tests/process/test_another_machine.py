"""Two machines, one after the other: what they share is the database and the object store."""

from pathlib import Path

import trio
from support import object_store
from support.model_script import say
from support.place import POSTGRES
from support.process import Site, open_site
from support.stage import LAURA


async def test_the_next_machine_has_the_picture_that_the_killed_one_got(tmp_path: Path) -> None:
    """It has no file of the first one's disk, and its keys come from systemd's credentials."""
    async with open_site(tmp_path, seconds=300) as site:
        await _another_machine(site, tmp_path)


async def _another_machine(site: Site, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "files.access_key_id").write_text(object_store.KEY_ID)
    (credentials / "files.secret_access_key").write_text(object_store.KEY)
    shared = {
        "RECADO_STORE__URL": POSTGRES.url(tmp_path),
        "RECADO_FILES__URL": str(object_store.file_settings(site.data_dir)["url"]),
        "CREDENTIALS_DIRECTORY": str(credentials),
    }
    first = await site.start(**shared)
    site.model.script(say("nobody hears this", gate=trio.Event()))
    await site.gateway.contact(LAURA).send_image(caption="la sala")
    await site.model.wait_requests(1)
    first.process.kill()
    await first.ended()
    (picture,) = object_store.listed(site.data_dir, "media")
    assert (site.data_dir / picture).exists()
    second = await site.start(RECADO_DATA_DIR=str(tmp_path / "second"), **shared)
    await site.gateway.wait_sent(LAURA)
    assert "data:image/jpeg;base64," in str(site.model.calls[-1].body)
    assert (tmp_path / "second" / picture).exists()
    status, _ = await second.end()
    assert status == 0
    assert object_store.KEY not in first.text + second.text
