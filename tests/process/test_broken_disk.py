"""A disk that refuses to write: nothing is acknowledged that is not stored, and nothing is lost."""

import shutil
import sys

import pytest
from support.process import RUN, Site, until
from support.rows import states

CONTACTS = [f"5730055501{number:02}" for number in range(60)]
ROOM_BYTES = 100_000
"""By how much a file may outgrow the fresh store: enough to start, not for sixty messages."""


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit of util-linux")
@pytest.mark.sqlite
async def test_a_failing_write_ends_the_daemon_with_1_and_loses_nothing(site: Site) -> None:
    """503 to the webhook, exit status 1, and the next process answers everybody once."""
    assert (await (await site.start()).end())[0] == 0
    most = (site.data_dir / "recado.db").stat().st_size + ROOM_BYTES
    process = await site.launch(f"--fsize={most}", sys.executable, *RUN, program="prlimit")
    await site.opened(process)
    for contact in CONTACTS:
        await site.gateway.customer_says(contact, "Hola, ¿hay cupo?", deliver="queued")
    assert await process.ended() == 1
    assert "cannot write to the store" in process.text
    await site.start()
    for contact in CONTACTS:
        await site.gateway.wait_sent(contact)
    await until(lambda: set(states(site.data_dir)) == {"answered"})
    assert [len(site.received(contact)) for contact in CONTACTS] == [1] * len(CONTACTS)
